package wire

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/chorus-net/chorus/internal/wire/pb"
)

var (
	decreesRequest = DecreesRequest{Digest: Digest{1, 31: 2}, From: 3, Decrees: []byte("decrees")}
	decreesReply   = DecreesReply{Digest: Digest{1, 31: 2}, Total: 4, Decrees: []byte("decrees")}
)

func TestDecrees(t *testing.T) {
	if got, err := ParseDecreesRequest(AppendDecreesRequest(nil, &decreesRequest)); err != nil || !cmp.Equal(got, decreesRequest) {
		t.Errorf("a request reads as %+v, %v", got, err)
	}
	if got, err := ParseDecreesReply(AppendDecreesReply(nil, &decreesReply)); err != nil || !cmp.Equal(got, decreesReply) {
		t.Errorf("a reply reads as %+v, %v", got, err)
	}
	digest := make([]byte, 32)
	for name, m := range map[string]*pb.DecreesRequest{
		"no digest":   {},
		"long digest": {Digest: make([]byte, 33)},
		"far index":   {Digest: digest, From: maxDecreeCount + 1},
		"long list":   {Digest: digest, Decrees: make([]byte, MaxDecreesPage+1)},
	} {
		b := appendMessage(nil, m)
		if got, err := ParseDecreesRequest(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: a request reads as %+v, %v", name, got, err)
		}
		if got, err := ParseDecreesReply(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: a reply reads as %+v, %v", name, got, err)
		}
	}
}

func FuzzDecrees(f *testing.F) {
	f.Add(AppendDecreesRequest(nil, &decreesRequest))
	f.Add(AppendDecreesReply(nil, &decreesReply))
	f.Add(append(AppendDecreesReply(nil, &DecreesReply{Total: 48}), 0x1a, 0)) // a list that is there and empty
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := ParseDecreesRequest(bytes.Clone(b)); err == nil {
			if again, err := ParseDecreesRequest(AppendDecreesRequest(nil, &r)); err != nil || !cmp.Equal(again, r, cmpopts.EquateEmpty()) {
				t.Errorf("%+v became %+v, %v", r, again, err)
			}
		}
		if r, err := ParseDecreesReply(bytes.Clone(b)); err == nil {
			if again, err := ParseDecreesReply(AppendDecreesReply(nil, &r)); err != nil || !cmp.Equal(again, r, cmpopts.EquateEmpty()) {
				t.Errorf("%+v became %+v, %v", r, again, err)
			}
		}
	})
}
