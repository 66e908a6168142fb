package overlay

import (
	"crypto/sha256"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chorus-net/chorus/bootstrap"
	passes "github.com/chorus-net/chorus/bootstrap/pass"
	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/overlay/client"
)

// Nobody of thousands gets in with a token that has expired, was used, was changed, is somebody
// else's or another ring's, or is none, nor with such a pass.
func TestUninvited(t *testing.T) {
	attempts := 10_000
	if testing.Short() {
		attempts = 1000
	}
	var ahead atomic.Int64
	n, err := inClosed(t, nil, func(c *Config) { c.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) } })
	if err != nil {
		t.Fatal(err)
	}
	other, err := inClosed(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	stranger := func() (id chord.PeerID, key passes.Key) {
		for i := range key {
			key[i] = byte(rng.Uint32())
		}
		return key.PeerID(), key
	}
	used := invite(t, n, client.InviteSpec{Once: true}).Token
	first, _ := stranger()
	if a := admit(t, n, first, bootstrap.AdmissionRequest{Token: used}); a.Refusal != nil {
		t.Fatalf("the first use of a token: %v", a.Refusal)
	}
	short := invite(t, n, client.InviteSpec{Expires: time.Minute}).Token
	bound := invite(t, n, client.InviteSpec{For: n.ID()}).Token
	good := invite(t, n, client.InviteSpec{}).Token
	foreign := invite(t, other, client.InviteSpec{}).Token
	ahead.Store(int64(time.Hour)) // short has expired
	chain := n.door.Pass()

	refused := make(map[string]int)
	for i := range attempts {
		id, _ := stranger()
		var r bootstrap.AdmissionRequest
		kind := i % 8
		switch kind {
		case 0:
			r.Token = short
		case 1:
			r.Token = used
		case 2:
			r.Token = bound
		case 3:
			r.Token = foreign
		case 4:
			r.Token = changed(rng, good)
		case 5:
			r.Pass = chain // of another peer
		case 6:
			r.Pass = append([]byte(nil), chain...)
			r.Pass[rng.IntN(len(chain))] ^= 1 << rng.IntN(8)
		case 7: // nothing
		}
		a := admit(t, n, id, r)
		if a.Refusal == nil || len(a.Pass.Links) > 0 {
			t.Fatalf("attempt %d, of kind %d, is let in: %+v", i, kind, a)
		}
		refused[a.Refusal.Code]++
		if len(r.Pass) > 0 {
			if role, err := n.door.Check(id, r.Pass); err == nil {
				t.Fatalf("attempt %d, of kind %d, passes the gate as %s", i, kind, role)
			}
		}
	}
	t.Logf("%d attempts are refused: %v", attempts, refused)
	if len(refused) < 4 {
		t.Errorf("refused for these reasons only: %v", refused)
	}
	last, _ := stranger()
	if a := admit(t, n, last, bootstrap.AdmissionRequest{Token: good}); a.Refusal != nil || len(a.Pass.Links) == 0 {
		t.Errorf("who is invited afterwards: %v", a.Refusal)
	}
}

func admit(t *testing.T, n *Node, id chord.PeerID, r bootstrap.AdmissionRequest) bootstrap.Admission {
	t.Helper()
	request, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	a, err := bootstrap.ParseAdmission(n.door.Admit(id, request))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// changed flips a bit of a token, and puts its checksum right, which is there against typing
// errors alone.
func changed(rng *rand.Rand, token string) string {
	const prefix = "chorus1_"
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, prefix))
	if err != nil {
		panic(err)
	}
	body := b[:len(b)-4]
	body[rng.IntN(len(body))] ^= 1 << rng.IntN(8)
	sum := sha256.Sum256(body)
	return prefix + base64.RawURLEncoding.EncodeToString(append(body, sum[:4]...))
}
