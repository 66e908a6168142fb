// Package trial puts a cluster on a simulated network under load, splits the
// network in the middle, and checks that nothing that was acknowledged is lost
// or read in an older version.
//
//	result, err := trial.Run(ctx, trial.Settings{
//		Peers:    10,
//		Network:  simnet.Settings{Latency: 20 * time.Millisecond, Loss: 0.01},
//		Split:    5 * time.Second,
//		Duration: 30 * time.Second,
//	})
//	fmt.Println(result.Lost, result.Stale) // 0 0, or there is a bug
//
// It owns the cluster that it starts, which keeps everything in memory, and its
// callers; both have ended when Run returns. `peer netsim cluster` is this
// package behind flags.
package trial
