//go:build unix

package wasm

import "golang.org/x/sys/unix"

// region is a range of addresses whose front part is usable memory. It grows
// without moving, and the Go heap knows nothing of it.
type region struct {
	all  []byte
	used uint64
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
