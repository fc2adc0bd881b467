package node

import (
	"github.com/prometheus/client_golang/prometheus"
)

// collector reads what a node counts when somebody asks.
type collector struct{ n *Node }

// figure is one metric without labels, or with one.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func newFigure(kind prometheus.ValueType, name, help string, labels ...string) figure {
	return figure{prometheus.NewDesc("multicore_"+name, help, labels, nil), kind}
}

func counter(name, help string, labels ...string) figure {
	return newFigure(prometheus.CounterValue, name, help, labels...)
}

func gauge(name, help string, labels ...string) figure {
	return newFigure(prometheus.GaugeValue, name, help, labels...)
}

var (
	appendedBlocks = counter("appended_blocks_total", "Blocks appended to own cores.")
	appendedBytes  = counter("appended_bytes_total", "Bytes appended to own cores, as they are stored.")
	unverified     = counter("verification_failures_total", "What did not verify: answers of peers, and blocks and tree nodes found damaged on the disk.", "source")
	openCores      = gauge("open_cores", "Cores that are open.")
	mountpoints    = gauge("mounts", "Mountpoints of the process.")
	followedKeys   = gauge("followed", "Followed multicores.")

	coreBlocks   = gauge("core_blocks", "Length of an own core.", "core")
	coreDurable  = gauge("core_durable_blocks", "Length of an own core that is on the disk and signed: what peers see.", "core")
	coreBytes    = gauge("core_bytes", "Bytes in all blocks of an own core.", "core")
	corePeers    = gauge("core_peers", "Connected peers that have an own core open.", "core")
	fullReplicas = gauge("core_full_replicas", "Connected peers that hold every block of an own core.", "core")
	coreFailed   = gauge("core_failed", "1 where an own core takes and gives nothing until the process starts again.", "core")

	peers           = gauge("peers", "Connected peers.", "transport")
	sentBytes       = counter("replication_sent_bytes_total", "Bytes sent to peers on replication streams.")
	receivedBytes   = counter("replication_received_bytes_total", "Bytes that came from peers on replication streams.")
	servedBlocks    = counter("served_blocks_total", "Blocks given to peers.")
	servedBytes     = counter("served_bytes_total", "Bytes in blocks given to peers.")
	fetchedBlocks   = counter("received_blocks_total", "Blocks that came from peers, were verified and stored.")
	fetchedBytes    = counter("received_bytes_total", "Bytes in blocks that came from peers, were verified and stored.")
	dhtPeers        = gauge("dht_routing_table_peers", "Peers in the routing table of the DHT.")
	lastAnnounced   = gauge("dht_last_announced_timestamp_seconds", "When a peer last took a provider record; 0: never.")
	cacheBytes      = gauge("cache_bytes", "Bytes that are held only because somebody read them, about.")
	cacheLimitBytes = gauge("cache_limit_bytes", "Most of them.")
	cacheCleared    = counter("cache_cleared_bytes_total", "Bytes of them that were cleared for want of room.")
)

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range []figure{
		appendedBlocks, appendedBytes, unverified, openCores, mountpoints, followedKeys,
		coreBlocks, coreDurable, coreBytes, corePeers, fullReplicas, coreFailed,
		peers, sentBytes, receivedBytes, servedBlocks, servedBytes, fetchedBlocks, fetchedBytes,
		dhtPeers, lastAnnounced, cacheBytes, cacheLimitBytes, cacheCleared,
	} {
		ch <- f.desc
	}
}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	n := c.n
	give := func(f figure, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
	}
	local := n.store.Flusher().Counts()
	give(appendedBlocks, float64(local.AppendedBlocks))
	give(appendedBytes, float64(local.AppendedBytes))
	give(unverified, float64(local.Damaged), "disk")
	give(openCores, float64(n.store.OpenCores()))
	n.mu.Lock()
	mounts := len(n.mounts)
	n.mu.Unlock()
	give(mountpoints, float64(mounts))
	n.followMu.Lock()
	followed := len(n.followed)
	n.followMu.Unlock()
	give(followedKeys, float64(followed))
	if own := n.current(); own != nil {
		cores, _ := own.Known()
		for _, named := range cores {
			core := n.core(named.Name, named.Core)
			give(coreBlocks, float64(core.Length), named.Name)
			give(coreDurable, float64(core.DurableLength), named.Name)
			give(coreBytes, float64(core.ByteLength), named.Name)
			give(corePeers, float64(core.Peers), named.Name)
			give(fullReplicas, float64(core.FullReplicas), named.Name)
			failed := 0.0
			if core.Failed != "" {
				failed = 1
			}
			give(coreFailed, failed, named.Name)
		}
	}
	if n.cache != nil {
		used, limit, cleared := n.cache.Usage()
		give(cacheBytes, float64(used))
		give(cacheLimitBytes, float64(limit))
		give(cacheCleared, float64(cleared))
	}
	if n.swarm == nil || n.net == nil {
		return
	}
	remote := n.swarm.Counts()
	give(unverified, float64(remote.BadProofs), "peer")
	give(sentBytes, float64(remote.SentBytes))
	give(receivedBytes, float64(remote.ReceivedBytes))
	give(servedBlocks, float64(remote.ServedBlocks))
	give(servedBytes, float64(remote.ServedBytes))
	give(fetchedBlocks, float64(remote.FetchedBlocks))
	give(fetchedBytes, float64(remote.FetchedBytes))
	st := n.net.Status()
	byTransport := map[string]int{"tcp": 0, "quic": 0, "hypercore-tcp": 0}
	for _, p := range st.Peers {
		byTransport[p.Transport]++
	}
	for transport, count := range byTransport {
		give(peers, float64(count), transport)
	}
	give(dhtPeers, float64(st.RoutingTable))
	at := 0.0
	if !st.LastProvide.IsZero() {
		at = float64(st.LastProvide.Unix())
	}
	give(lastAnnounced, at)
}
