package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chorus-net/chorus/overlay/client"
)

// brokenBinary builds the command with a ring that does not copy its successors'
// lists.
func brokenBinary(t *testing.T) string {
	t.Helper()
	const guard = "if r.mutant == mutantSkipCopy && p.ID == head.ID {"
	path, err := filepath.Abs(filepath.Join("..", "..", "chord", "stabilise.go"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(source), guard) != 1 {
		t.Fatalf("%s does not hold %q once", path, guard)
	}
	dir := t.TempDir()
	broken, overlay, bin := filepath.Join(dir, "stabilise.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "peer")
	plan, err := json.Marshal(map[string]any{"Replace": map[string]string{path: broken}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		broken:  []byte(strings.Replace(string(source), guard, "if p.ID == head.ID {", 1)),
		overlay: plan,
	} {
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("go", "build", "-overlay", overlay, "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build a broken peer: %v\n%s", err, out)
	}
	return bin
}

var (
	firstFailure = regexp.MustCompile(`did not hold; the first: (seed \d+ at \d+\.\d+s: invariant violated: .+)\n`)
	replayFix    = regexp.MustCompile(`fix: peer (netsim model --schedules 1 --seed \d+ --trace)\n`)
	traceLine    = regexp.MustCompile(`(?m)^ +\d+\.\d{3}s  p\d+ -> p\d+: (ask|reply)`)
)

// TestFailingSeedReplays plays histories with a broken ring, and then the command that
// the failure names: it shows the same violation, with all that led to it.
func TestFailingSeedReplays(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command once more")
	}
	t.Parallel()
	s := newShell(t)
	s.binary = brokenBinary(t)
	all := s.run("netsim", "model", "--schedules", "12")
	all.fails(client.CodeUnhealthy, "did not hold")
	failure, fix := firstFailure.FindStringSubmatch(all.err), replayFix.FindStringSubmatch(all.err)
	if failure == nil || fix == nil {
		t.Fatalf("no failure, or no command that replays it:\n%s", all.err)
	}
	args := strings.Fields(fix[1])
	one := s.run(args...)
	one.fails(client.CodeUnhealthy, "1 of 1 histories did not hold", failure[1])
	_, violation, _ := strings.Cut(failure[1], "invariant violated: ")
	story, _, _ := strings.Cut(one.out, "\nhistories")
	if !strings.HasSuffix(strings.TrimSpace(story), "invariant violated: "+violation) {
		t.Errorf("the transcript does not end with %q:\n%.2000s", violation, story[max(0, len(story)-2000):])
	}
	if n := len(traceLine.FindAllString(story, -1)); n < 20 {
		t.Errorf("%d messages in the transcript", n)
	}
	s.binary = ""
	s.ok(args...)
}
