// Package callbench measures calls between two peers beside the plainest thing
// that could carry them, an echo of frames over a stream of the same
// transport, in turns within one run, so that the ratio means something on any
// machine.
//
// It owns two throw-away hosts: a server, in this process or in another one
// that runs Serve, and a client. Nothing of it runs in a peer of a ring.
//
//	figures, err := callbench.Run(ctx, callbench.Config{
//		Server: func(ctx context.Context, transport string) *exec.Cmd {
//			return exec.CommandContext(ctx, os.Args[0], "bench", "call", "--serve", transport)
//		},
//	})
package callbench
