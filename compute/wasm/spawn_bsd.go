//go:build unix && !linux

package wasm

import (
	"os"
	"syscall"
)

func executable() (string, error) { return os.Executable() }

func widen(*os.File) {}

// dieWithParent does nothing: the child sees the end of its request pipe.
func dieWithParent(*syscall.SysProcAttr) {}

func confine() error { return forbidCore() }

// limitData does nothing: these kernels do not count mapped memory as data. A
// module's own memory is limited all the same.
func limitData(uint64) error { return nil }
