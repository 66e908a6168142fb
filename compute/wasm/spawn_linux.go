package wasm

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// executable is the program that runs, even when its file was replaced since.
func executable() (string, error) { return "/proc/self/exe", nil }

// dieWithParent has the kernel kill the child when the thread that started it
// ends, which is why a Pool starts children from a thread that it keeps.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// widen makes a pipe hold more than the default 64 KiB, so that a large input or
// output takes fewer switches between the processes. The kernel may refuse a
// user who has many; it works all the same.
func widen(pipe *os.File) { _, _ = unix.FcntlInt(pipe.Fd(), unix.F_SETPIPE_SZ, 256<<10) }
