package wasm

import (
	"bytes"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// saved is the content of a region as it was once. The kernel keeps it, as a file
// without a name that the region maps privately: what is written to the region since
// lies on pages of its own, and bringing the content back is to drop those. So that
// costs as much as was changed, not as much as there is.
type saved struct{ size uint64 }

// take saves b, the start of a region, which keeps its addresses.
func (s *saved) take(b []byte) error {
	fd, err := unix.MemfdCreate("wasm", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	err = mapCopy(fd, b)
	if err == nil {
		s.size = uint64(len(b))
	}
	return errors.Join(err, unix.Close(fd)) // the mapping keeps the file
}

var emptyPage [pageSize]byte

// mapCopy puts a private mapping of a file in the place of b, with the same content.
func mapCopy(fd int, b []byte) error {
	if err := unix.Ftruncate(fd, int64(len(b))); err != nil {
		return err
	}
	for at := 0; at < len(b); at += pageSize {
		page := b[at : at+pageSize]
		if bytes.Equal(page, emptyPage[:]) {
			continue // and takes no memory
		}
		if n, err := unix.Pwrite(fd, page, int64(at)); n < len(page) {
			return errors.Join(errors.New("memory is full"), err)
		}
	}
	_, err := unix.MmapPtr(fd, 0, unsafe.Pointer(&b[0]), uintptr(len(b)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED)
	return err
}

func (s *saved) restore(b []byte) error { return unix.Madvise(b, unix.MADV_DONTNEED) }
