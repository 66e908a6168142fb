package overlay

import (
	"fmt"
	"testing"
	"time"
)

// A peer that joins while another is away has what seats it can have: it does not wait
// for those that are kept for the one that is away.
func TestSeatedWhileOneIsAway(t *testing.T) {
	cfg := Config{ReplaceAfter: time.Hour}
	nodes := []*Node{joinTest(t, nil, cfg)}
	for range 3 {
		nodes = append(nodes, joinTest(t, nodes[0], cfg))
	}
	soon(t, "four peers", func() error { return alike(nodes, 3) })
	nodes[3].Kill()
	soon(t, "three peers", func() error {
		if n := nodes[0].view().Len(); n != 3 {
			return fmt.Errorf("%d peers", n)
		}
		return nil
	})
	fifth := joinTest(t, nodes[0], cfg)
	soon(t, "seated", func() error {
		if fifth.view().Len() != 4 || fifth.unseated() {
			return fmt.Errorf("%d peers, unseated %t", fifth.view().Len(), fifth.unseated())
		}
		return nil
	})
}
