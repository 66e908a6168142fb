package wire

import (
	"errors"

	"github.com/chorus-net/chorus/chord"
)

// Found is the answer to MethodFind. Done: Peers are the successors of the
// target, the owner first. Not done: they are nearer to it.
type Found struct {
	Done  bool
	Peers []chord.Peer
}

// maxFound bounds the records that ParseFound reads.
const maxFound = 64

// AppendTarget appends the request of MethodFind: 32 bytes.
func AppendTarget(b []byte, target chord.ID) []byte { return append(b, target[:]...) }

// ParseTarget reads the request of MethodFind.
func ParseTarget(b []byte) (chord.ID, error) {
	var target chord.ID
	if len(b) != len(target) {
		return chord.ID{}, malformed("target", errors.New("not 32 bytes"))
	}
	return chord.ID(b), nil
}

// AppendFound appends the answer to MethodFind: a byte that says whether it is
// final, and the signed records of peers.
func AppendFound(b []byte, f Found) []byte {
	done := byte(0)
	if f.Done {
		done = 1
	}
	return AppendPeers(append(b, done), f.Peers)
}

// ParseFound reads the answer to MethodFind. A final one names the owner.
func ParseFound(b []byte) (Found, error) {
	if len(b) == 0 || b[0] > 1 {
		return Found{}, malformed("found", errors.New("unknown form"))
	}
	f := Found{Done: b[0] == 1}
	var err error
	if f.Peers, err = ParsePeers(b[1:]); err != nil {
		return Found{}, err
	}
	if f.Done && len(f.Peers) == 0 || len(f.Peers) > maxFound {
		return Found{}, malformed("found", errors.New("wrong number of peers"))
	}
	return f, nil
}
