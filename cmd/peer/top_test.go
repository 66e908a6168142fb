package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/chorus-net/chorus/overlay/client"
)

func TestTop(t *testing.T) {
	peers := startPeers(t, "anna", "bert")
	peers[0].ok("submit", "echo", "--input", "x", "--n", "10")
	var loads []client.PeerLoad
	peers[1].doc(&loads, "top")
	done := 0
	for _, p := range loads {
		done += p.Tasks.Done
		if p.Error != "" || p.Slots < 1 || p.Tasks.Queued+p.Tasks.Running > 0 {
			t.Errorf("%+v", p)
		}
	}
	if len(loads) != 2 || loads[0].Name != "anna" || loads[1].Name != "bert" || done < 10 {
		t.Errorf("%d runs of 10 tasks at %+v", done, loads)
	}
	out := peers[0].ok("top", "--count", "2", "--every", "100ms")
	if strings.Count(out, "anna") != 2 || strings.Count(out, "WORKERS") != 2 || strings.Contains(out, "\x1b") {
		t.Errorf("two looks:\n%s", out)
	}
	peers[0].run("top", "--every", "1ms").fails(client.CodeUsage, "100ms")
	if err := peers[1].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	out = peers[0].ok("top")
	if err := peers[1].cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out, "bert") && !strings.Contains(out, "no answer") { // the ring may have dropped it by now
		t.Errorf("one of two is stopped:\n%s", out)
	}
}
