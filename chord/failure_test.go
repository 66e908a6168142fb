package chord

import (
	"testing"
	"time"
)

// TestTimeoutsFollowRoundTrips checks the estimate of RFC 6298, with its first sample, its gains
// of an eighth and a quarter, and the bounds of Config.
func TestTimeoutsFollowRoundTrips(t *testing.T) {
	const ms = time.Millisecond
	p := newPair(t)
	r := p.rings["p1"]
	r.cfg.MinTimeout, r.cfg.MaxTimeout, r.cfg.FirstTimeout = 100*ms, 2*time.Second, time.Second
	m := r.table.members["p0"]
	m.met().rtt = rtt{}
	for _, step := range []struct{ sample, want time.Duration }{
		{0, time.Second},                   // nothing was measured
		{80 * ms, 240 * ms},                // 80 + 4*40
		{80 * ms, 200 * ms},                // 80 + 4*30
		{160 * ms, 260 * ms},               // 90 + 4*42.5
		{4 * time.Second, 2 * time.Second}, // the most
	} {
		if step.sample > 0 {
			m.rtt.sample(step.sample)
		}
		if got := r.timeout("p0"); got != step.want {
			t.Errorf("after a round trip of %v: time-out %v, want %v", step.sample, got, step.want)
		}
	}
	for range 200 {
		m.rtt.sample(ms)
	}
	if got := r.timeout("p0"); got != r.cfg.MinTimeout {
		t.Errorf("time-out of a near peer: %v, want %v", got, r.cfg.MinTimeout)
	}
	if got := r.timeout("a stranger"); got != r.cfg.FirstTimeout {
		t.Errorf("time-out of a stranger: %v, want %v", got, r.cfg.FirstTimeout)
	}
	lastAsk(t, p)
	if q, want := r.pendingTo("p0")[0], p.now.Add(r.cfg.MinTimeout); !q.deadline.Equal(want) {
		t.Errorf("a request is given up at %v, want %v", q.deadline, want)
	}
}
