//go:build !unix

package wasm

import (
	"errors"
	"os"
	"os/exec"
)

const supported = false

// A Pool is never made here, so what follows is never reached.

func executable() (string, error) { return "", errors.ErrUnsupported }

func isolate(*exec.Cmd) {}

func widen(*os.File) {}

func killGroup(int) {}

func confine() error { return errors.ErrUnsupported }

func limitData(uint64) error { return errors.ErrUnsupported }

type region struct{}

func reserve(uint64) region { return region{} }

func (*region) commit(uint64) []byte { return nil }

func (*region) save(uint64) error { return errors.ErrUnsupported }

func (*region) rewind() error { return errors.ErrUnsupported }

func (*region) release() {}
