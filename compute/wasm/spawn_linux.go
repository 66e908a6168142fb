package wasm

import "syscall"

// executable is the program that runs, even when its file was replaced since.
func executable() (string, error) { return "/proc/self/exe", nil }

// dieWithParent has the kernel kill the child when the thread that started it
// ends, which is why a Pool starts children from a thread that it keeps.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
