package chunk

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Cut reads r to its end and stores it in chunks: put is called for each, up to
// window of them at a time, in the order of the value and on goroutines of Cut.
// The bytes handed to put are valid until it returns. Cut returns when all calls
// have, with the first error: that of r, of put, ErrTooLarge, or the context's.
func Cut(ctx context.Context, r io.Reader, window int, put func(context.Context, Hash, []byte) error) (Manifest, error) {
	return cut(ctx, r, window, MaxChunks, put)
}

func cut(ctx context.Context, r io.Reader, window, most int, put func(context.Context, Hash, []byte) error) (Manifest, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	free := make(chan []byte, window)
	for range window {
		free <- nil // made when it is needed
	}
	m := Manifest{Chunk: Size}
	for {
		var buf []byte
		select {
		case buf = <-free:
		case <-ctx.Done():
		}
		if err := context.Cause(ctx); err != nil {
			return Manifest{}, err
		}
		if buf == nil {
			buf = make([]byte, Size)
		}
		n, err := io.ReadFull(r, buf)
		switch {
		case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			cancel(err)
			return Manifest{}, fmt.Errorf("read value: %w", err)
		case n > 0 && len(m.Hashes) == most:
			cancel(ErrTooLarge)
			return Manifest{}, ErrTooLarge
		}
		if n > 0 {
			h := Hash(sha256.Sum256(buf[:n]))
			m.Hashes = append(m.Hashes, h)
			m.Size += int64(n)
			wg.Go(func() {
				if err := put(ctx, h, buf[:n]); err != nil {
					cancel(err)
				}
				free <- buf
			})
		}
		if err != nil { // the end
			break
		}
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// Head reads up to limit bytes of r and reports whether that is all; if it is
// not, head holds one byte more.
func Head(r io.Reader, limit int) (head []byte, whole bool, err error) {
	head, err = io.ReadAll(io.LimitReader(r, int64(limit)+1))
	return head, len(head) <= limit, err
}
