package overlay

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		tokens := make(chan struct{}, 1)
		var done []time.Duration
		ended := make(chan struct{})
		go func() {
			paced(ctx, tokens, func() time.Duration {
				done = append(done, time.Since(begun))
				return 5 * time.Second
			})
			close(ended)
		}()
		for _, at := range []time.Duration{1, 2, 3, 7, 20, 21} {
			time.Sleep(at*time.Second - time.Since(begun))
			signal(tokens)
		}
		synctest.Wait()
		cancel() // with a token
		<-ended
		want := []time.Duration{1 * time.Second, 6 * time.Second, 11 * time.Second, 20 * time.Second, 21 * time.Second}
		if diff := cmp.Diff(want, done); diff != "" {
			t.Error(diff)
		}
	})
}
