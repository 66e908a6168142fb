//go:build unix

package wasm

import "golang.org/x/sys/unix"

// region is a range of addresses whose front part is usable memory. It grows
// without moving, and the Go heap knows nothing of it.
type region struct {
	all   []byte
	used  uint64
	saved saved
}

func reserve(size uint64) region {
	if size == 0 {
		return region{}
	}
	all, err := unix.Mmap(-1, 0, int(size), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return region{}
	}
	return region{all: all}
}

// save keeps the first size bytes, all that is in use, so that rewind can bring them back.
func (r *region) save(size uint64) error {
	if size == 0 {
		return nil
	}
	return r.saved.take(r.all[:size])
}

// rewind makes the memory what it was when it was saved: what came on top of it is
// gone, and empty when it is committed again.
func (r *region) rewind() error {
	size := r.saved.size
	if size == 0 {
		return nil
	}
	if err := r.saved.restore(r.all[:size]); err != nil {
		return err
	}
	if r.used == size {
		return nil
	}
	top := r.all[size:r.used]
	if err := unix.Madvise(top, unix.MADV_DONTNEED); err != nil {
		return err
	}
	r.used = size
	return unix.Mprotect(top, unix.PROT_NONE)
}

// commit makes size bytes usable, or returns nil.
func (r *region) commit(size uint64) []byte {
	if size > uint64(len(r.all)) {
		return nil
	}
	if size > r.used {
		if err := unix.Mprotect(r.all[r.used:size], unix.PROT_READ|unix.PROT_WRITE); err != nil {
			return nil
		}
		r.used = size
	}
	return r.all[:size:size]
}

func (r *region) release() {
	if r.all != nil {
		_ = unix.Munmap(r.all) // only fails for a range that was never mapped
	}
	*r = region{}
}
