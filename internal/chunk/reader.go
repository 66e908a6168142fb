package chunk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Fetch returns chunk i of a value, checked against the manifest.
type Fetch func(ctx context.Context, i int) ([]byte, error)

// Reader reads a large value. Read goes ahead of its caller by more chunks the
// longer it is read in order; it holds a window of them at most.
type Reader struct {
	m      Manifest
	fetch  Fetch
	window int
	ctx    context.Context //nolint:containedctx // the reader's life: io.Reader takes none
	cancel context.CancelFunc
	wg     sync.WaitGroup

	at    int64    // of the next Read
	first int      // the chunk that ahead[0] is
	ahead []*piece // under way or here
	depth int      // chunks to be ahead by

	mu   sync.Mutex // guards what ReadAt had last
	last []byte
	of   int // the chunk that last is, where it is not nil
}

var (
	_ io.ReadSeekCloser = (*Reader)(nil)
	_ io.ReaderAt       = (*Reader)(nil)
)

// piece is a chunk on its way; data or err is set when done is closed.
type piece struct {
	done   chan struct{}
	cancel context.CancelFunc
	data   []byte
	err    error
}

// NewReader returns a reader of the value that m lists. Up to window chunks
// are fetched at a time, until the context ends or the reader is closed.
func NewReader(ctx context.Context, m Manifest, window int, fetch Fetch) *Reader {
	r := &Reader{m: m, fetch: fetch, window: max(window, 1), depth: 1}
	r.ctx, r.cancel = context.WithCancel(ctx)
	return r
}

// NewBytesReader returns a reader of a value that is at hand.
func NewBytesReader(ctx context.Context, value []byte) *Reader {
	return NewReader(ctx, Manifest{Size: int64(len(value)), Chunk: max(len(value), 1), Hashes: make([]Hash, min(len(value), 1))}, 1,
		func(context.Context, int) ([]byte, error) { return value, nil })
}

// Size returns the length of the value in bytes.
func (r *Reader) Size() int64 { return r.m.Size }

// Manifest returns the list of the value's chunks.
func (r *Reader) Manifest() Manifest { return r.m }

// Read reads on from where the last Read ended, or Seek went.
func (r *Reader) Read(p []byte) (int, error) {
	if r.at >= r.m.Size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	i := int(r.at / int64(r.m.Chunk))
	r.move(i)
	x := r.ahead[0]
	select {
	case <-x.done:
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	}
	if x.err != nil {
		r.drop() // the next Read tries again
		return 0, x.err
	}
	from, _ := r.m.Span(i)
	n := copy(p, x.data[r.at-from:])
	r.at += int64(n)
	return n, nil
}

// move makes chunk i the first of those ahead, and has as many fetched as depth
// says. Going on to the next chunk doubles the depth; going elsewhere begins
// anew.
func (r *Reader) move(i int) {
	switch {
	case len(r.ahead) > 0 && i == r.first:
		return
	case len(r.ahead) > 0 && i == r.first+1:
		r.ahead = r.ahead[1:]
		r.depth = min(2*r.depth, r.window)
	default:
		r.drop()
	}
	r.first = i
	for next := i + len(r.ahead); len(r.ahead) < r.depth && next < len(r.m.Hashes); next++ {
		ctx, cancel := context.WithCancel(r.ctx)
		x := &piece{done: make(chan struct{}), cancel: cancel}
		r.ahead = append(r.ahead, x)
		r.wg.Go(func() {
			defer close(x.done)
			defer cancel()
			x.data, x.err = r.fetch(ctx, next)
		})
	}
}

// drop gives up what is ahead.
func (r *Reader) drop() {
	for _, x := range r.ahead {
		x.cancel()
	}
	r.ahead, r.depth = nil, 1
}

var errSeek = errors.New("seek before the start of the value")

// Seek sets where the next Read begins.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.m.Size
	default:
		return r.at, fmt.Errorf("seek: whence %d", whence)
	}
	if offset < 0 {
		return r.at, errSeek
	}
	r.at = offset
	return offset, nil
}

// ReadAt reads len(p) bytes from offset off, or up to the value's end with
// io.EOF. It fetches the chunks that it takes, one after the other, and keeps
// the last.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errSeek
	}
	n := 0
	for n < len(p) && off < r.m.Size {
		i := int(off / int64(r.m.Chunk))
		data, err := r.chunk(i)
		if err != nil {
			return n, err
		}
		from, _ := r.m.Span(i)
		k := copy(p[n:], data[off-from:])
		n, off = n+k, off+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// chunk returns a chunk for ReadAt.
func (r *Reader) chunk(i int) ([]byte, error) {
	r.mu.Lock()
	data := r.last
	if r.of != i {
		data = nil
	}
	r.mu.Unlock()
	if data != nil {
		return data, nil
	}
	data, err := r.fetch(r.ctx, i)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.of = data, i
	return data, nil
}

// Close gives up what is under way. Calling it again does nothing.
func (r *Reader) Close() error {
	r.cancel()
	r.wg.Wait()
	r.drop()
	return nil
}
