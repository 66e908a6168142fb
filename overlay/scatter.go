package overlay

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/chorus-net/chorus/store"
)

// scatter tells where keys that begin with a prefix are: in bank 0, but for those of
// namespaces that have an N of their own.
type scatter struct {
	own  map[string]int // those namespaces, and the N of each
	only int            // if not 0, the one bank of the one namespace that the prefix names
}

// scatterOf finds out where keys are. It is right about all that was acknowledged
// before it was called: every shard of bank 0 has the fences of all namespaces whose
// keys are elsewhere.
func (n *Node) scatterOf(ctx context.Context, prefix string) (scatter, error) {
	s := scatter{own: make(map[string]int)}
	name, _, one := strings.Cut(prefix, "/")
	if strings.HasPrefix(prefix, "_") || one && name == "" || len(name) > maxNamespace {
		return s, nil
	}
	req := store.ScanRequest{Prefix: store.JoinKey(fenceSpace, name), Limit: store.MaxPage}
	for more := true; more; {
		var page []store.Entry
		var err error
		if page, more, err = n.scanShard(ctx, 0, store.LevelQuorum, req); err != nil {
			return s, err
		}
		for _, e := range page {
			req.After = e.Key
			_, ns := store.SplitKey(e.Key)
			if e.Deleted || one && ns != name {
				continue
			}
			copies, err := n.namespaces.own(ctx, ns)
			if err != nil {
				return s, err
			}
			if copies != 0 {
				s.own[ns] = copies
			}
		}
	}
	if one {
		s.only = s.own[name]
	}
	return s, nil
}

// bank returns the bank of the keys of a namespace.
func (s *scatter) bank(ns string) int { return s.own[ns] }

// banks returns the banks that may have keys, in order.
func (s *scatter) banks() []int {
	if s.only != 0 {
		return []int{s.only}
	}
	banks := slices.AppendSeq([]int{0}, maps.Values(s.own))
	slices.Sort(banks)
	return slices.Compact(banks)
}
