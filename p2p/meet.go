package p2p

func (n *Node) startMeeting() {}
