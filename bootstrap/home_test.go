package bootstrap

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func openHome(t *testing.T, dir string) *Home {
	t.Helper()
	h, err := OpenHome(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestHomeIsExclusive(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "home")
	h := openHome(t, dir)
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("home has mode %o", info.Mode().Perm())
	}
	_, err = OpenHome(dir)
	if !errors.Is(err, ErrHomeLocked) {
		t.Fatalf("second open: %v, want ErrHomeLocked", err)
	}
	wantCode(t, err, CodeHomeLocked, dir, fmt.Sprintf("process %d", os.Getpid()))
	for range 2 {
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	openHome(t, dir)
}

// holdHome tells the test binary to hold the home named by it and to wait.
const holdHome = "CHORUS_TEST_HOLD_HOME"

// A process that was killed does not keep its home.
func TestHomeAfterKill(t *testing.T) {
	if dir := os.Getenv(holdHome); dir != "" {
		if _, err := OpenHome(dir); err != nil {
			t.Fatal(err)
		}
		fmt.Println("held")
		select {}
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHomeAfterKill$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), holdHome+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, len("held"))
	if _, err := out.Read(buf); err != nil || string(buf) != "held" {
		t.Fatalf("child said %q, %v", buf, err)
	}
	_, err = OpenHome(dir)
	wantCode(t, err, CodeHomeLocked, fmt.Sprintf("process %d", cmd.Process.Pid))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	openHome(t, dir)
}

func TestHomeUnwritable(t *testing.T) {
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("needs a file system that nobody may write to: /proc")
	}
	_, err := OpenHome("/proc/self/chorus")
	if err == nil {
		t.Fatal("made a home in /proc")
	}
	if os.Getuid() == 0 {
		t.Skip("permissions do not bind root")
	}
	dir := filepath.Join(t.TempDir(), "ro")
	if err := os.Mkdir(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	_, err = OpenHome(filepath.Join(dir, "home"))
	wantCode(t, err, CodeDiskReadOnly, dir, "permission denied")
}

func TestHomeRing(t *testing.T) {
	h := openHome(t, t.TempDir())
	_, err := h.Ring()
	if !errors.Is(err, ErrNoRing) {
		t.Fatalf("new home: %v, want ErrNoRing", err)
	}
	wantCode(t, err, CodeNoRing, h.Dir())

	r := goldenRing()
	if err := h.Create(r); err != nil {
		t.Fatal(err)
	}
	got, err := h.Ring()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, got); diff != "" {
		t.Fatalf("ring (-want +got):\n%s", diff)
	}
	if err := h.Join(r); err != nil {
		t.Fatalf("join the home's own ring: %v", err)
	}
	other := r
	other.ID[0]++
	if err := h.Create(other); !errors.Is(err, ErrHomeExists) {
		t.Fatalf("create twice: %v, want ErrHomeExists", err)
	}
	wantCode(t, h.Join(other), CodeWrongRing, other.ID.Tag(), r.ID.Tag())
	other = r
	other.Shards *= 2
	wantCode(t, h.Join(other), CodeWrongRing, "256 shards", "512")
	if got, err := h.Ring(); err != nil || got != r {
		t.Fatalf("ring after refusals: %+v, %v", got, err)
	}

	joiner := openHome(t, t.TempDir())
	if err := joiner.Join(r); err != nil {
		t.Fatal(err)
	}
	if got, err := joiner.Ring(); err != nil || got != r {
		t.Fatalf("joined ring: %+v, %v", got, err)
	}
}

func TestHomeDamagedRing(t *testing.T) {
	h := openHome(t, t.TempDir())
	for _, content := range []string{"", "{", `{"format":1,"nam":"x"}`, strings.Repeat(" ", maxRing+1)} {
		if err := os.WriteFile(h.Path(RingFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := h.Ring()
		if content == "" || len(content) <= maxRing {
			wantCode(t, err, CodeBadHome, h.Path(RingFile))
		} else if err == nil {
			t.Error("accepted an oversized ring.json")
		}
		if err := h.Create(goldenRing()); err == nil {
			t.Fatalf("Create replaced a damaged ring.json %q", content)
		}
	}
}

func TestHomeBook(t *testing.T) {
	h := openHome(t, t.TempDir())
	if n := h.Book().Len(); n != 0 {
		t.Fatalf("new home remembers %d peers", n)
	}
	b := h.Book()
	b.Seen(contact(t, 1, "/ip4/192.0.2.1/tcp/4747"), time.Unix(1e9, 0))
	if err := h.SaveBook(b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.Contacts(), h.Book().Contacts()); diff != "" {
		t.Fatalf("book (-want +got):\n%s", diff)
	}
	if err := os.WriteFile(h.Path(PeersFile), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := h.Book().Len(); n != 0 {
		t.Fatalf("a damaged peers.json yields %d peers, want none", n)
	}
}

// A file is replaced whole, and nothing is left beside it.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, content := range []string{"long content", "short"} {
		if err := writeFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Fatalf("read %q, %v; want %q", got, err, content)
		}
	}
	if err := writeFile(filepath.Join(dir, "none", "f"), nil); err == nil {
		t.Error("wrote into a folder that is not there")
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(filepath.Join(dir, "d"), []byte("x")); err == nil {
		t.Error("replaced a folder")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("left behind: %v", entries)
	}
}
