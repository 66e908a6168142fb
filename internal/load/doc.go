// Package load puts an operation under load and measures it: so many callers,
// each with one operation under way, for so long.
//
//	result, err := load.Run(ctx, load.Settings{Callers: 16, Duration: time.Second},
//		func(ctx context.Context, i uint64) error { return put(ctx, i) })
//	fmt.Println(result.P50, result.PerSecond())
//
// It owns the callers' goroutines, which have ended when Run returns, and knows
// nothing of what it measures. Latencies are kept in a histogram of fixed size:
// quantiles are exact to 1 part in 64.
package load
