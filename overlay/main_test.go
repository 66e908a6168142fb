package overlay

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/chorus-net/chorus/overlay/client"
)

// TestMain does not call Init: what a program that does not lend itself cannot
// do is tested here, and modules are in netsim/cluster.
func TestMain(m *testing.M) {
	if order := os.Getenv(floodVar); order != "" {
		if err := beAttacker(order); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m,
		// It runs as long as the program: metrics of kad-dht.
		goleak.IgnoreAnyFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// codeOf returns the code of an error that people meet; "" if it has none.
func codeOf(err error) string {
	var e *client.Error
	if errors.As(err, &e) {
		return string(e.Code)
	}
	return ""
}
