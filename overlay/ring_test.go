package overlay

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// TestRefusalsAreLoggedOnce has peers send what is not taken, again and again: the log names
// each and its reason once an hour, and is not filled by many that change their names.
func TestRefusalsAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := &ring{n: &Node{log: slog.New(slog.NewTextHandler(&out, nil))}, refusals: make(map[refusal]time.Time)}
		lines := func() int {
			defer out.Reset()
			return strings.Count(out.String(), "ring message refused")
		}
		for i := range 100 {
			r.refused("a", fmt.Errorf("%w: try %d", chord.ErrMessage, i))
			r.refused("a", fmt.Errorf("%w: try %d", chord.ErrRestless, i))
			r.refused("b", chord.ErrMessage)
		}
		if n := lines(); n != 3 {
			t.Errorf("%d lines of two peers and three reasons in all", n)
		}
		time.Sleep(refusalPause)
		r.refused("a", chord.ErrMessage)
		if n := lines(); n != 1 {
			t.Errorf("%d lines an hour later", n)
		}
		for i := range 2 * maxRefusals {
			r.refused(chord.PeerID(fmt.Sprint(i)), chord.ErrMessage)
		}
		if n := lines(); n > maxRefusals || len(r.refusals) > maxRefusals {
			t.Errorf("%d lines of %d peers, %d remembered", n, 2*maxRefusals, len(r.refusals))
		}
	})
}
