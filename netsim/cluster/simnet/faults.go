package simnet

import "time"

// Partition splits the hosts into groups: packets between two groups are gone,
// also those under way. Hosts that no group names are together in one more. It
// replaces the partition before.
func (n *Network) Partition(groups ...[]int) {
	split := make(map[int]int)
	for g, hosts := range groups {
		for _, i := range hosts {
			split[i] = g + 1
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.groups = split
}

// Cut keeps packets between hosts a and b from each other, in both directions, also
// those under way; others may reach both. It adds to what is cut already.
func (n *Network) Cut(a, b int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[pair(a, b)] = true
}

// Heal ends a partition, and all cuts.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.groups = nil
	clear(n.cuts)
}

// SetLoss changes the fraction of packets that are lost, from 0 to 1.
func (n *Network) SetLoss(loss float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = min(max(loss, 0), 1)
}

// SetLatency changes the latency of the link between hosts a and b, one way and
// in both directions.
func (n *Network) SetLatency(a, b int, oneWay time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.latency[pair(a, b)] = max(oneWay, 0)
}

// Down takes host i down as a crash does: its socket is gone at once, what it
// had sent is not delivered any more, and what others send to it vanishes. The
// host's goroutines are for its owner to end; whatever they still say is not heard.
func (n *Network) Down(i int) error {
	c, err := n.cable(i)
	if err != nil {
		return err
	}
	c.unplug()
	return nil
}

// Up lets host i open its socket again.
func (n *Network) Up(i int) error {
	c, err := n.cable(i)
	if err != nil {
		return err
	}
	c.restore()
	return nil
}

// reaches reports whether the partition and the cuts let packets pass.
func (n *Network) reaches(a, b int) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.groups[a] == n.groups[b] && !n.cuts[pair(a, b)]
}

// pair names a link.
func pair(a, b int) [2]int { return [2]int{min(a, b), max(a, b)} }
