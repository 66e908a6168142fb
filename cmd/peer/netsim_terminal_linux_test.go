package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal: what is written to it can be read from screen.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return screen, tty
}

// TestNetsimModelShowsProgress runs a model whose errors go to a terminal, and whose
// result does not.
func TestNetsimModelShowsProgress(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	screen, tty := terminal(t)
	shown := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(screen) // ends with an error when the last writer has closed
		shown <- all
	}()
	var out bytes.Buffer
	cmd := s.command("netsim", "model", "--peers", "200", "--fingers-only", "--duration", "20s")
	cmd.Stdout, cmd.Stderr = &out, tty
	err := cmd.Run()
	tty.Close()
	seen := <-shown
	if err != nil {
		t.Fatalf("%v\n%s", err, seen)
	}
	if !regexp.MustCompile(`\r\x1b\[K(joining|agreeing|lookups) +\[#*\.*\] +\d+%`).Match(seen) {
		t.Errorf("no progress bar in %q", seen)
	}
	if !bytes.HasSuffix(seen, []byte("\r\x1b[K")) {
		t.Errorf("the bar is left on the screen: %q", seen[max(0, len(seen)-80):])
	}
	if bytes.Contains(out.Bytes(), []byte("\x1b")) {
		t.Errorf("the result holds what is for terminals: %q", out.String())
	}
}
