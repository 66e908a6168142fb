package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
)

const natPatience = 90 * time.Second

// A ring over two hosts on a public network and two in offices behind routers that translate
// addresses. No port is forwarded, and those of the routers cannot be foretold, so the host of
// an office is reached from the other only through a relay.
func TestBehindNAT(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	m := newMachines(t)
	ada, bob := m.shell("ada", m.public("ada")), m.shell("bob", m.public("bob"))
	cyd, dot := m.shell("cyd", m.office("cyd", 1, true)), m.shell("dot", m.office("dot", 2, true))

	ada.ok("init", "--ring", "choir")
	first := ada.start("--name", "ada")
	token := strings.TrimSpace(ada.ok("invite"))
	second := bob.start("--name", "bob", "--join", token)
	third := cyd.start("--name", "cyd", "--join", strings.TrimSpace(ada.ok("invite", "--inviter")))
	fourth := dot.start("--name", "dot", "--join", token)
	agreed(t, []*process{first, second, third, fourth})
	waitRelayed(t, third)
	waitRelayed(t, fourth)
	waitPath(t, third, "dot", client.ViaRelay)
	waitPath(t, fourth, "cyd", client.ViaRelay)

	// Both serve, and are served.
	third.ok("put", "songs/aria", "one voice")
	if got := fourth.ok("get", "songs/aria"); got != "one voice" {
		t.Errorf("dot got %q", got)
	}
	fourth.ok("put", "songs/aria", "two voices")
	if got := third.ok("get", "songs/aria"); got != "two voices" {
		t.Errorf("cyd got %q", got)
	}
	runsEverywhere(t, fourth, 4)

	// Each has two relays, so that one may go.
	waitReach(t, third, client.CheckWarn, "by relay, through 2 peers")
	waitReach(t, fourth, client.CheckWarn, "by relay, through 2 peers")
	waitReach(t, first, client.CheckOK, "public: ")
	if code := second.signal(syscall.SIGINT); code != 0 {
		t.Errorf("exit status %d", code)
	}
	waitPath(t, third, "dot", client.ViaRelay)
	waitPath(t, fourth, "cyd", client.ViaRelay)
	second = bob.start("--name", "bob")
	agreed(t, []*process{first, second, third, fourth})

	// Who was invited from behind a router enters by way of a relay: a member by a token for one
	// use, which the inviter alone redeems, and a guest.
	eve := m.office("eve", 3, true)
	once := strings.TrimSpace(third.ok("invite", "--once"))
	if len(once) > 640 {
		t.Errorf("a token of %d characters", len(once))
	}
	pat := m.shell("pat", eve)
	fifth := pat.start("--name", "pat", "--join", once)
	agreed(t, []*process{first, second, third, fourth, fifth})
	pat.ok("put", "songs/aria", "three voices")
	m.shell("too late", eve).run("run", "--join", once).fails(client.CodeTokenUsed)
	gus := m.shell("gus", eve)
	gus.start("--name", "gus", "--join", strings.TrimSpace(third.ok("invite", "--role", "read")))
	if got := gus.ok("get", "songs/aria"); got != "three voices" {
		t.Errorf("a guest got %q", got)
	}
	var status client.Status
	fifth.doc(&status, "status")
	third.ok("revoke", status.ID)
	agreed(t, []*process{first, second, third, fourth})

	// Relays are no way in for strangers, nor back in for who was put out.
	m.shell("eve", eve).run("run", "--join", first.addr, "--timeout", "60s").fails(client.CodeNotInvited)
	m.shell("eve", eve).run("run", "--join", circuitOf(t, third), "--timeout", "60s").fails(client.CodeNotInvited)
	fourth.doc(&status, "status")
	ada.ok("revoke", status.ID)
	agreed(t, []*process{first, second, third})
	third.run("ping", status.ID).fails(client.CodeNotFound)
}

// Routers that keep the port of a connection can be got through: two offices' hosts meet at a
// relay, and then do without it.
func TestHolePunching(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	m := newMachines(t)
	ada := m.shell("ada", m.public("ada"))
	ada.ok("init", "--open", "--ring", "choir")
	first := ada.start("--name", "ada")
	second := m.shell("bob", m.office("bob", 1, false)).start("--name", "bob", "--join", first.addr)
	if !strings.Contains(second.addr, "/p2p-circuit/") {
		t.Errorf("bob is at %s", second.addr)
	}
	third := m.shell("cyd", m.office("cyd", 2, false)).start("--name", "cyd", "--join", second.addr)
	agreed(t, []*process{first, second, third})
	waitRelayed(t, second)
	waitRelayed(t, third)
	waitPath(t, second, "cyd", client.ViaDirect)
	waitPath(t, third, "bob", client.ViaDirect)
}

// shell is one at a host.
func (m *machines) shell(name, netns string) *shell {
	return &shell{t: m.t, home: filepath.Join(m.homes, name), netns: netns}
}

// waitReach waits until a peer's doctor says so of how it is reached.
func waitReach(t *testing.T, p *process, state client.CheckState, words string) {
	t.Helper()
	var d client.Diagnosis
	eventually(t, natPatience, func() bool {
		p.doc(&d, "doctor")
		return slices.ContainsFunc(d.Checks, func(c client.Check) bool {
			return c.Name == "reach" && c.State == state && strings.Contains(c.Detail, words)
		})
	}, func() string { return fmt.Sprintf("the doctor says %+v", d.Checks) })
}

// waitRelayed waits until a peer announces addresses through relays, and none of its own network.
func waitRelayed(t *testing.T, p *process) {
	t.Helper()
	var status client.Status
	eventually(t, natPatience, func() bool {
		p.doc(&status, "status")
		return slices.ContainsFunc(status.Addrs, func(a string) bool { return strings.Contains(a, "/p2p-circuit") })
	}, func() string { return fmt.Sprintf("no relay in %q", status.Addrs) })
	if slices.ContainsFunc(status.Addrs, func(a string) bool { return strings.Contains(a, "192.168.") }) {
		t.Errorf("it announces %q", status.Addrs)
	}
}

// circuitOf returns an address of a peer through a relay.
func circuitOf(t *testing.T, p *process) string {
	t.Helper()
	var status client.Status
	p.doc(&status, "status")
	i := slices.IndexFunc(status.Addrs, func(a string) bool { return strings.Contains(a, "/p2p-circuit") })
	if i < 0 {
		t.Fatalf("no relay in %q", status.Addrs)
	}
	return status.Addrs[i]
}

// waitPath waits until a peer's calls of another one go that way.
func waitPath(t *testing.T, p *process, to string, via string) {
	t.Helper()
	var last result
	eventually(t, natPatience, func() bool {
		last = p.run("ping", to)
		return last.code == 0 && strings.Contains(last.out, via)
	}, func() string { return fmt.Sprintf("ping %s says %s%s", to, last.out, last.err) })
}

// runsEverywhere submits tasks until n peers have run some.
func runsEverywhere(t *testing.T, p *process, n int) {
	t.Helper()
	var job struct {
		Results []struct{ Peer string }
	}
	ran := make(map[string]bool)
	eventually(t, natPatience, func() bool {
		p.doc(&job, "submit", "sleep", "--input", "200ms", "--n", "40")
		for _, r := range job.Results {
			ran[r.Peer] = true
		}
		return len(ran) == n
	}, func() string { return fmt.Sprintf("tasks ran at %v", ran) })
}
