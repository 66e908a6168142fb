package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/chorus-net/chorus/internal/chunk"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// streamWindow is how many chunks of one stream are under way at once.
const streamWindow = 8

// PutStream stores what r holds, up to 4 GiB, under key. A value of more than
// 512 KiB is kept in chunks, each stored and synced as the level asks, and
// becomes visible with the last: until then, and if PutStream fails, key holds
// what it held. Chunks that an earlier attempt stored within half a day are not
// stored again. It holds a few chunks in memory at a time.
//
// Besides those of Put, the error may be one of r.
func (n *Node) PutStream(ctx context.Context, key string, r io.Reader, opts ...PutOption) (Receipt, error) {
	if n.guest != nil {
		return n.guest.client.PutStream(ctx, key, r, opts...)
	}
	head, whole, err := chunk.Head(r, store.MaxValue)
	switch {
	case err != nil:
		return Receipt{}, fmt.Errorf("put %q: %w", key, err)
	case whole:
		return n.Put(ctx, key, head, opts...)
	}
	up := client.Upload{Key: key, Level: client.NewPutOptions(opts...).W}
	if err := n.begin(ctx, key, opts); err != nil {
		return Receipt{}, err
	}
	up.Manifest, err = chunk.Cut(ctx, io.MultiReader(bytes.NewReader(head), r), streamWindow, func(ctx context.Context, _ chunk.Hash, data []byte) error {
		kept, err := n.putChunk(ctx, key, up.Level, data)
		if err == nil {
			up.Note(kept)
		}
		return err
	})
	if errors.Is(err, chunk.ErrTooLarge) {
		return Receipt{}, tooLarge(key, fmt.Sprintf("more than %d", int64(chunk.MaxValue)), chunk.MaxValue)
	}
	if err != nil {
		return Receipt{}, n.orClosed(err)
	}
	return n.commit(ctx, &up, opts)
}

// GetStream opens the value of key, whatever its size, at the version that a
// Get would have returned. The context bounds the stream, which the caller
// closes. Chunks are fetched as they are read, from any replica whose bytes
// match their hash; if none has a chunk, Read says so with ErrDamaged.
func (n *Node) GetStream(ctx context.Context, key string, opts ...GetOption) (*Stream, error) {
	if n.guest != nil {
		return n.guest.client.GetStream(ctx, key, opts...)
	}
	rec, value, err := n.open(ctx, key, opts)
	if err != nil {
		return nil, err
	}
	if !rec.Large {
		return &Stream{Reader: chunk.NewBytesReader(ctx, value), Record: rec}, nil
	}
	m, err := chunk.ParseManifest(value)
	if err != nil {
		return nil, damaged(key, err)
	}
	r := chunk.NewReader(ctx, m, streamWindow, func(ctx context.Context, i int) ([]byte, error) {
		from, to := m.Span(i)
		return n.getChunk(ctx, key, m.Hashes[i], int(to-from))
	})
	return &Stream{Reader: r, Record: rec}, nil
}

// open reads the record of a key: its value or, if that is large, the encoded
// manifest.
func (n *Node) open(ctx context.Context, key string, opts []GetOption) (Record, []byte, error) {
	ns, name := store.SplitKey(key)
	if err := checkKey(ns, name); err != nil {
		return Record{}, nil, err
	}
	level, err := n.readLevel(ctx, ns, client.NewGetOptions(opts...))
	if err != nil {
		return Record{}, nil, fmt.Errorf("get %q: %w", key, err)
	}
	rec, err := n.read(ctx, ns, name, level)
	if err != nil {
		return Record{}, nil, err
	}
	value := rec.Value
	rec.Value = nil
	if rec.Large {
		m, err := chunk.ParseManifest(value)
		if err != nil {
			return Record{}, nil, damaged(key, err)
		}
		rec.Size = m.Size
	}
	return rec, value, nil
}

// commit makes the chunks of an upload visible as the value of its key.
//
// The collector of chunks forgets none that is younger than chunkKeep, whoever
// refers to it. So it is enough that the oldest was younger than that by a good
// margin when a quorum had the manifest: whoever judges the chunks later finds
// it.
func (n *Node) commit(ctx context.Context, up *client.Upload, opts []PutOption) (Receipt, error) {
	oldest, err := store.ParseVersion(up.Oldest)
	if err != nil || len(up.Manifest.Hashes) == 0 {
		return Receipt{}, usage("put %q: commit of an upload without chunks", up.Key)
	}
	if age := time.Since(oldest.Time()); age > n.chunkTimes.commit {
		return Receipt{}, tooSlow(up.Key, age)
	}
	r, err := n.put(ctx, up.Key, store.Record{Value: up.Manifest.AppendTo(nil), Large: true}, opts)
	if err != nil {
		return Receipt{}, err
	}
	if age := time.Since(oldest.Time()); age > n.chunkTimes.commit {
		return Receipt{}, tooSlow(up.Key, age) // it was held up for hours, on the way
	}
	r.Bytes, r.Chunks, r.Reused = up.Manifest.Size, len(up.Manifest.Hashes), up.Reused
	return r, nil
}

func tooSlow(key string, age time.Duration) error {
	return &client.Error{
		Code:    client.CodeTimeout,
		Message: fmt.Sprintf("put %q: its first chunk was stored %v ago, which is too long for it to be kept for certain", key, age.Round(time.Minute)),
		Fix:     "the same command again: it stores anew what is old, and nothing else",
	}
}

// damaged is the error of a large value that cannot be put together.
func damaged(key string, why error) error {
	return &client.Error{
		Code:    client.CodeValueDamaged,
		Message: fmt.Sprintf("get %q: %v", key, why),
		Fix:     "peer ring (to see who is missing), or store the value again",
	}
}
