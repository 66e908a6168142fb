package wire

import (
	"fmt"

	"github.com/chorus-net/chorus/internal/wire/pb"
)

// MaxDecreesPage bounds the decrees in a message, in bytes.
const MaxDecreesPage = 256 << 10

// maxDecreeCount bounds an index into a list of decrees.
const maxDecreeCount = 1 << 16

// Digest tells sets of decrees apart.
type Digest [32]byte

// DecreesRequest tells a peer of decrees, in the encoding of package pass, and asks
// for those that it knows, from the index From on, if its digest is another one.
type DecreesRequest struct {
	Digest  Digest
	From    int
	Decrees []byte
}

// DecreesReply is a page of a list of Total decrees; it is empty if the digests are
// the same.
type DecreesReply struct {
	Digest  Digest
	Total   int
	Decrees []byte
}

// AppendDecreesRequest appends the encoding of r.
func AppendDecreesRequest(b []byte, r *DecreesRequest) []byte {
	return appendMessage(b, &pb.DecreesRequest{Digest: r.Digest[:], From: uint32(r.From), Decrees: r.Decrees})
}

// ParseDecreesRequest reads a request. Its decrees are not looked into.
func ParseDecreesRequest(b []byte) (DecreesRequest, error) {
	var m pb.DecreesRequest
	if err := parseMessage(b, &m, "decrees"); err != nil {
		return DecreesRequest{}, err
	}
	r := DecreesRequest{From: int(m.From), Decrees: m.Decrees}
	return r, checkDecrees(&r.Digest, m.Digest, m.From, m.Decrees)
}

// AppendDecreesReply appends the encoding of r.
func AppendDecreesReply(b []byte, r *DecreesReply) []byte {
	return appendMessage(b, &pb.DecreesReply{Digest: r.Digest[:], Total: uint32(r.Total), Decrees: r.Decrees})
}

// ParseDecreesReply reads a reply. Its decrees are not looked into.
func ParseDecreesReply(b []byte) (DecreesReply, error) {
	var m pb.DecreesReply
	if err := parseMessage(b, &m, "decrees"); err != nil {
		return DecreesReply{}, err
	}
	r := DecreesReply{Total: int(m.Total), Decrees: m.Decrees}
	return r, checkDecrees(&r.Digest, m.Digest, m.Total, m.Decrees)
}

func checkDecrees(to *Digest, digest []byte, index uint32, list []byte) error {
	switch {
	case len(digest) != len(to):
		return malformed("decrees", fmt.Errorf("a digest of %d bytes", len(digest)))
	case index > maxDecreeCount:
		return malformed("decrees", fmt.Errorf("decree %d", index))
	case len(list) > MaxDecreesPage:
		return malformed("decrees", fmt.Errorf("%d bytes of decrees", len(list)))
	}
	*to = Digest(digest)
	return nil
}
