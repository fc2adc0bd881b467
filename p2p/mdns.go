package p2p

func (n *Node) startMDNS() {}

type goodPeers struct{}
