package main

import (
	"bufio"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// slowAgreement is the one complaint of a story that a machine causes which
// does much else besides: it is slow, not wrong.
var slowAgreement = regexp.MustCompile(`^error unhealthy: the story did not hold: the ring agreed only after [0-9.]+ s\n$`)

func TestDemoOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a ring")
	}
	t.Parallel()
	s := newShell(t)
	tmp := t.TempDir()
	s.env = []string{"TMPDIR=" + tmp}
	r := s.run("demo", "--once")
	if r.code != 0 && (r.code != 5 || !slowAgreement.MatchString(r.err)) {
		t.Fatalf("exit %d\n%s%s", r.code, r.out, r.err)
	}
	for _, word := range []string{"ada", "enzo", "songs/aria", "200 tasks", "is killed", "100 of 100 keys"} {
		if !strings.Contains(r.out, word) {
			t.Errorf("the story lacks %q:\n%s", word, r.out)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v, %v", left, err)
	}
	if _, err := os.Stat(s.home); err == nil {
		t.Error("the demo touched the home")
	}
}

// TestDemoStaysUp talks to a demo by the command that it prints, and ends it.
func TestDemoStaysUp(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a ring")
	}
	t.Parallel()
	s := newShell(t)
	tmp := t.TempDir()
	s.env = []string{"TMPDIR=" + tmp}
	cmd := s.command("demo", "-n", "3")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()
	var printed []string // commands to run
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 2 && words[0] == binary {
			printed = words[1:]
			if printed[0] == "get" {
				if got := s.ok(printed...); !strings.Contains(got, "one voice") {
					t.Errorf("peer %v: %q", printed, got)
				}
			}
		}
		if strings.Contains(lines.Text(), "Ctrl-C") {
			break
		}
	}
	if printed == nil {
		t.Error("the demo printed no command to run")
	}
	began := time.Now()
	interrupt(cmd)
	if err := cmd.Wait(); err != nil || time.Since(began) > time.Minute {
		t.Errorf("after an interrupt: %v, %v", err, time.Since(began))
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v, %v", left, err)
	}
}
