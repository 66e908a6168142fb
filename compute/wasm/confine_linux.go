package wasm

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// confine gives up, in the child, what the parent could not withhold.
func confine() error {
	if err := closeInherited(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up privileges: %w", err)
	}
	return forbidCore()
}

// closeInherited closes descriptors that the embedding program left open across
// exec. Those of the Go runtime's poller are its own, made after exec.
func closeInherited() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list descriptors: %w", err)
	}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil || fd <= childAnswers {
			continue
		}
		target, err := os.Readlink(filepath.Join("/proc/self/fd", entry.Name()))
		if err != nil || strings.HasPrefix(target, "anon_inode:[event") {
			continue // closed since, as the listing's own, or the poller's
		}
		_ = unix.Close(fd)
	}
	return nil
}

// limitData lets the process grow by that many bytes of writable memory. What it
// has already depends on how the program was built (race detector, cgo).
func limitData(grow uint64) error {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return fmt.Errorf("read memory use: %w", err)
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 6 {
		return fmt.Errorf("read memory use: %d fields", len(fields))
	}
	pages, err := strconv.ParseUint(fields[5], 10, 64)
	if err != nil {
		return fmt.Errorf("read memory use: %w", err)
	}
	limit := pages*uint64(os.Getpagesize()) + grow
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	return nil
}
