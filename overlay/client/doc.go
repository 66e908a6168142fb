// Package client talks to a running peer over the Unix socket in its home, and
// holds the vocabulary that such a conversation shares with package overlay:
// receipts, records, jobs, errors.
//
//	c, err := client.Dial(ctx, "/var/lib/app") // the peer's home
//	if err != nil {
//		return err // errors.Is(err, client.ErrNoPeer): none is running there
//	}
//	defer c.Close()
//	receipt, err := c.Put(ctx, "photos/7", jpeg, client.WithW(client.LevelAll))
//	record, err := c.Get(ctx, "photos/7") // errors.Is(err, client.ErrNotFound)
//
// A Client offers the same methods as overlay.Node and returns the same types
// and errors, so code can be written against either. It imports neither libp2p
// nor a database: a program that only talks to a peer stays small.
//
// # What it does not own
//
// The peer does the work; the package neither keeps nor retries anything. A
// Client whose peer stopped answers ErrClosed for ever: dial again.
//
// # Goroutines
//
// All methods may be called from any goroutine; calls share one connection and
// do not wait for each other. Each call ends with its context.
package client
