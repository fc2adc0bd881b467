package p2p

func (n *Node) startGoodPeers(sw swarm) {}
