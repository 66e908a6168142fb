package overlay_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A program in a module of its own builds against the Go API and does what its
// reader expects. Nothing is downloaded: what Chorus needs, it has.
func TestQuickstart(t *testing.T) {
	if testing.Short() {
		t.Skip("links a program")
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("needs the go command:", err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copyFile(t, filepath.Join(dir, "main.go"), "testdata/quickstart/main.go", nil)
	copyFile(t, filepath.Join(dir, "go.sum"), "../go.sum", nil)
	copyFile(t, filepath.Join(dir, "go.mod"), "testdata/quickstart/go.mod", strings.NewReplacer("../../..", root))

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	bin := filepath.Join(dir, "quickstart")
	run(goTool, "build", "-o", bin, ".")
	if got, want := run(bin), "HELLO 1 of 1\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func copyFile(t *testing.T, to, from string, edit *strings.Replacer) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		b = []byte(edit.Replace(string(b)))
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
