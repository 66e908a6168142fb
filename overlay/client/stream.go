package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/chorus-net/chorus/internal/chunk"
	"github.com/chorus-net/chorus/internal/wire"
)

const (
	// smallValue is the length of the largest value that travels in one piece.
	smallValue = 512 << 10
	// window is how many chunks of one stream are under way at once.
	window = 8
)

// Stream reads the value of one key at one version, whatever its size. It is an
// io.ReadSeekCloser for one goroutine, and an io.ReaderAt for any. Reading in
// order goes ahead by a few chunks of 256 KiB; reading elsewhere fetches what
// it takes. Each chunk is checked against its hash.
type Stream struct {
	*chunk.Reader
	Record Record // of the value; Value is empty
}

// Kept tells what became of a chunk.
type Kept struct {
	Version string `json:"version"`          // that it is stored as
	Reused  bool   `json:"reused,omitempty"` // it was there
}

// Upload is a large value whose chunks are being stored. A peer and its clients
// use it; PutStream is all that others need. The zero value has none yet.
type Upload struct {
	Key      string
	Level    Level
	Manifest chunk.Manifest

	mu     sync.Mutex
	Oldest string // version of the oldest chunk
	Reused int    // chunks that were there
}

// Note takes in what became of a chunk.
func (u *Upload) Note(k Kept) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.Oldest == "" || k.Version < u.Oldest { // as text they sort as versions do
		u.Oldest = k.Version
	}
	if k.Reused {
		u.Reused++
	}
}

// PutStream stores what r holds, up to 4 GiB, under key. A value of more than
// 512 KiB is kept in chunks and becomes visible with the last: until then, and
// if PutStream fails, key holds what it held. Chunks that an earlier attempt
// stored within half a day are not stored again.
func (c *Client) PutStream(ctx context.Context, key string, r io.Reader, opts ...PutOption) (Receipt, error) {
	if err := checkKey(key); err != nil {
		return Receipt{}, err
	}
	head, whole, err := chunk.Head(r, smallValue)
	switch {
	case err != nil:
		return Receipt{}, fmt.Errorf("put %q: %w", key, err)
	case whole:
		return c.Put(ctx, key, head, opts...)
	}
	doc := putDoc(key, opts)
	if _, err := c.call(ctx, wire.MethodCtlBegin, doc, nil, nil); err != nil {
		return Receipt{}, err
	}
	var up Upload
	m, err := chunk.Cut(ctx, io.MultiReader(bytes.NewReader(head), r), window, func(ctx context.Context, _ chunk.Hash, data []byte) error {
		var kept Kept
		_, err := c.call(ctx, wire.MethodCtlPutChunk, doc, data, &kept)
		if err == nil {
			up.Note(kept)
		}
		return err
	})
	if errors.Is(err, chunk.ErrTooLarge) {
		err = &Error{Code: CodeValueTooLarge, Message: fmt.Sprintf("put %q: %v", key, err), Fix: "split the value over several keys"}
	}
	if err != nil {
		return Receipt{}, err
	}
	var receipt Receipt
	commit := wire.ControlCommit{ControlPut: doc, Oldest: up.Oldest, Reused: up.Reused}
	_, err = c.call(ctx, wire.MethodCtlCommit, commit, m.AppendTo(nil), &receipt)
	return receipt, err
}

// GetStream opens the value of key, whatever its size. The context bounds the
// stream, which the caller closes.
func (c *Client) GetStream(ctx context.Context, key string, opts ...GetOption) (*Stream, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	o := NewGetOptions(opts...)
	var r Record
	value, err := c.call(ctx, wire.MethodCtlOpen, wire.ControlGet{Key: key, R: string(o.R)}, nil, &r)
	if err != nil {
		return nil, err
	}
	if !r.Large {
		return &Stream{Reader: chunk.NewBytesReader(ctx, value), Record: r}, nil
	}
	m, err := chunk.ParseManifest(value)
	if err != nil {
		return nil, &Error{Code: CodeValueDamaged, Message: fmt.Sprintf("get %q: %v", key, err)}
	}
	fetch := func(ctx context.Context, i int) ([]byte, error) {
		from, to := m.Span(i)
		data, err := c.call(ctx, wire.MethodCtlGetChunk, wire.ControlChunk{Key: key, Hash: m.Hashes[i][:], Size: int(to - from)}, nil, nil)
		if err != nil {
			return nil, err
		}
		return data, m.Check(i, data)
	}
	return &Stream{Reader: chunk.NewReader(ctx, m, window, fetch), Record: r}, nil
}
