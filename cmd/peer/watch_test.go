package main

import (
	"bufio"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
)

// watchFor runs peer watch until it has shown each of the lines, calling act at the
// first of them, and interrupts it.
func (s *shell) watchFor(act func(), want []string, args ...string) {
	s.t.Helper()
	cmd := s.command(append([]string{"watch"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	late := time.AfterFunc(readyWithin, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	var shown []string
	for lines := bufio.NewScanner(out); len(want) > 0 && lines.Scan(); {
		shown = append(shown, lines.Text())
		if i := slices.Index(want, lines.Text()); i >= 0 {
			want = slices.Delete(slices.Clone(want), i, i+1)
			if act != nil {
				act()
				act = nil
			}
		}
	}
	interrupt(cmd)
	_ = cmd.Wait() // it was interrupted
	if len(want) > 0 {
		s.t.Errorf("peer watch %s shows %q, and not %q", strings.Join(args, " "), shown, want)
	}
}

// A watch that was interrupted goes on by its cursor file, at another peer and
// after a voter was killed, with nothing left out.
func TestWatchGoesOn(t *testing.T) {
	peers := startPeers(t, "ada", "bob", "eve")
	ada, bob, eve := peers[0], peers[1], peers[2]
	file := filepath.Join(t.TempDir(), "cursor")
	bob.ok("put", "w/0", "v")
	ada.watchFor(func() {
		bob.ok("put", "x/1", "v")
		bob.ok("put", "w/1", "v")
		bob.ok("del", "w/0")
	}, []string{"put w/0", "put w/1", "delete w/0"}, "w/", "--existing", "--cursor-file", file)

	bob.ok("put", "w/2", "v")
	bob.ok("del", "w/1")
	bob.watchFor(nil, []string{"put w/2", "delete w/1"}, "w/", "--cursor-file", file)
	eve.signal(syscall.SIGKILL)
	ada.ok("put", "w/3", "v")
	ada.watchFor(nil, []string{"put w/3"}, "w/", "--cursor-file", file)

	var e client.Event
	out := bob.ok("watch", "w/3", "--existing", "--count", "1", "-o", "json")
	if err := json.Unmarshal([]byte(out), &e); err != nil || e.Kind != client.EventPut || e.Key != "w/3" || e.Version == "" {
		t.Errorf("%v: as JSON %q", err, out)
	}
	// Its time is up: that is no failure, unless it was to show more.
	if r := bob.run("watch", "none/", "--timeout", "1s"); r.code != 0 || r.out != "" || !strings.Contains(r.err, `no key that begins with "none/" changed within 1s`) {
		t.Errorf("nothing changed: exit status %d, %q, %q", r.code, r.out, r.err)
	}
	if r := bob.run("watch", "w/3", "--existing", "--timeout", "5s"); r.code != 0 || r.out != "put w/3\n" || r.err != "" {
		t.Errorf("one key: exit status %d, %q, %q", r.code, r.out, r.err)
	}
	bob.run("watch", "none/", "--count", "1", "--timeout", "1s").fails(client.CodeTimeout, "0 of 1 changes", "fix: the same command with --timeout 2s")
	bob.run("watch", "other/", "--cursor-file", file).fails(client.CodeUsage, "cursor")
	meet(client.CodeLagging) // by a watch that nobody reads, in package overlay
	meet(client.CodeLapsed)  // by one with an old cursor, there too
}
