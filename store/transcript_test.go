package store

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the transcripts in testdata with what the code does")

// transcripts runs the files of a directory of testdata: blocks of commands,
// a line of dashes, and what they answer. Lines that begin with # are remarks.
// A fresh run answers each file's commands, one line at a time.
func transcripts(t *testing.T, dir string, fresh func() func(command string) (string, error)) {
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts in %s: %v", dir, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := replay(string(text), fresh())
			if err != nil {
				t.Fatal(err)
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("%s differs; run with -rewrite and read the diff. It answers:\n%s", file, got)
			}
		})
	}
}

// replay returns the transcript with the answers replaced by those of run.
func replay(text string, run func(string) (string, error)) (string, error) {
	var out []string
	for n, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		commands, _, _ := strings.Cut(block, "\n----")
		out = append(out, commands)
		var answer strings.Builder
		for line := range strings.Lines(commands) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			s, err := run(line)
			if err != nil {
				return "", fmt.Errorf("block %d: %s: %w", n+1, line, err)
			}
			if s != "" {
				answer.WriteString("\n" + strings.TrimRight(s, "\n"))
			}
		}
		if answer.Len() > 0 {
			out[len(out)-1] += "\n----" + answer.String()
		}
	}
	return strings.Join(out, "\n\n") + "\n", nil
}

// names writes voters the way vs reads them.
func names(set []Voter) string {
	var b strings.Builder
	for _, v := range set {
		b.WriteString(string(v.Peer))
		if v.Incarnation != 1 {
			fmt.Fprint(&b, v.Incarnation)
		}
	}
	return b.String()
}

func describe(c Config) string {
	switch {
	case c.Epoch == 0:
		return "none"
	case c.Stable():
		return fmt.Sprintf("%d:%s", c.Epoch, names(c.Voters))
	}
	return fmt.Sprintf("%d:%s->%s", c.Epoch, names(c.Voters), names(c.Next))
}

// readConfig reads what describe wrote.
func readConfig(s string) (c Config, err error) {
	epoch, sets, _ := strings.Cut(s, ":")
	if _, err := fmt.Sscan(epoch, &c.Epoch); err != nil {
		return c, err
	}
	voters, next, _ := strings.Cut(sets, "->")
	c.Voters, c.Next = vs(voters), vs(next)
	return c, c.Check()
}
