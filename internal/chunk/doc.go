// Package chunk cuts a large value into chunks that are named by their hashes,
// and puts it together again.
//
// It owns the manifest, which lists the chunks of a value, and the windows by
// which many chunks are under way at once while few are in memory. It does not
// know where chunks are kept, nor when they may be forgotten: whoever uses it
// hands it a function that stores or fetches one (package overlay, which talks to
// replicas, and package overlay/client, which talks to a peer).
//
//	m, err := chunk.Cut(ctx, file, 8, func(ctx context.Context, h chunk.Hash, data []byte) error {
//		return keep(ctx, h, data)
//	})
//	r := chunk.NewReader(ctx, m, 8, fetch)
//	defer r.Close()
//	_, err = io.Copy(w, r)
//
// What decodes here came from other peers: a manifest whose sizes do not add
// up is refused, and so is a chunk whose bytes are not those of its hash.
//
// A Reader belongs to one goroutine, but for ReadAt, which any may call. The
// goroutines that Cut and a Reader start end before Cut and Close return.
package chunk
