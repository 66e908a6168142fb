package overlay

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/overlay/client"
)

func checkNamed(t *testing.T, d client.Diagnosis, name string) client.Check {
	t.Helper()
	for _, c := range d.Checks {
		if c.Name == name {
			if (c.State == client.CheckOK) != (c.Fix == "") {
				t.Errorf("%+v: what is wrong comes with what to do", c)
			}
			return c
		}
	}
	t.Fatalf("no check of %s in %+v", name, d)
	return client.Check{}
}

func TestDoctor(t *testing.T) {
	var ahead atomic.Int64
	home := t.TempDir()
	first, err := inClosed(t, nil, func(c *Config) {
		gossiping(c)
		c.Home = home
		c.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	if err != nil {
		t.Fatal(err)
	}
	diagnose := func() client.Diagnosis {
		d, err := first.Doctor(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	want := func(when string, d client.Diagnosis, name string, state client.CheckState) {
		t.Helper()
		if c := checkNamed(t, d, name); c.State != state {
			t.Errorf("%s: %+v, want %s", when, c, state)
		}
	}
	d := diagnose()
	want("alone", d, "peers", client.CheckWarn)
	want("alone", d, "reach", client.CheckWarn) // loopback
	want("alone", d, "pass", client.CheckOK)

	second, err := inClosed(t, first, gossiping)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is well", func() bool {
		d = diagnose()
		return checkNamed(t, d, "peers").State == client.CheckOK && checkNamed(t, d, "ring").State == client.CheckOK && d.Failed() == 0
	})
	if c := checkNamed(t, d, "disk"); c.Detail == "" {
		t.Errorf("%+v", c)
	}
	ahead.Store(int64(time.Hour))
	d = diagnose()
	want("an hour ahead", d, "clock", client.CheckFail)
	if d.Failed() == 0 {
		t.Error("nothing failed")
	}
	ahead.Store(0)
	second.Kill()
	d = diagnose()
	if c := checkNamed(t, d, "peers"); c.State == client.CheckOK {
		t.Errorf("after the other one died: %+v", c)
	}
}

func TestDoctorChecks(t *testing.T) {
	year := func(y int) time.Time { return time.Date(y, 6, 1, 0, 0, 0, 0, time.UTC) }
	for _, tt := range []struct {
		name string
		got  client.Check
		want client.CheckState
	}{
		{"a clock at 1970", checkClock(time.Unix(0, 0), nil), client.CheckFail},
		{"a clock alone", checkClock(year(2030), nil), client.CheckOK},
		{"a clock that most share", checkClock(year(2030), []visit{{ahead: time.Hour}, {}, {}}), client.CheckOK},
		{"a clock that is 2 s behind", checkClock(year(2030), []visit{{ahead: 2 * time.Second}}), client.CheckWarn},
		{"a clock that is an hour ahead", checkClock(year(2030), []visit{{ahead: -time.Hour}}), client.CheckFail},
		{"loopback", checkReach(p2p.Reach{State: p2p.ReachLocal}, []string{"/ip4/127.0.0.1/tcp/1"}), client.CheckWarn},
		{"a LAN", checkReach(p2p.Reach{State: p2p.ReachUnknown}, []string{"/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.2/tcp/1"}), client.CheckOK},
		{"the internet", checkReach(p2p.Reach{State: p2p.ReachPublic, Asked: 2}, []string{"/ip4/93.184.216.34/tcp/1"}), client.CheckOK},
		{"a NAT", checkReach(p2p.Reach{State: p2p.ReachPrivate, Asked: 1, Relays: []chord.PeerID{"r"}}, []string{"/ip4/93.184.216.34/tcp/1/p2p-circuit"}), client.CheckWarn},
		{"a NAT without relays", checkReach(p2p.Reach{State: p2p.ReachPrivate, Asked: 1}, nil), client.CheckFail},
		{"keys without copies", checkCopies(client.Status{UnderReplicated: 1}), client.CheckWarn},
		{"deletes that wait", checkCopies(client.Status{Blockers: []client.Blocker{{Peer: "p"}}}), client.CheckWarn},
		{"deletes that are refused", checkCopies(client.Status{Blockers: []client.Blocker{{Peer: "p", Why: "its clock is behind"}}}), client.CheckWarn},
		{"disagreement", checkAgreement(client.Status{Agree: 1, Of: 2}), client.CheckWarn},
	} {
		if tt.got.State != tt.want || (tt.want == client.CheckOK) != (tt.got.Fix == "") {
			t.Errorf("%s: %+v, want %s", tt.name, tt.got, tt.want)
		}
	}
}
