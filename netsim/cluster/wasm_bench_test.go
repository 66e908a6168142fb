package cluster_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chorus-net/chorus/compute/wasm/wasmtest"
	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
)

// BenchmarkReactor submits one call of a warm reactor after the other, and waits for
// its result each time.
func BenchmarkReactor(b *testing.B) {
	b.Run("assembled", func(b *testing.B) { benchmarkReactor(b, wasmtest.EchoReactor) })
	b.Run("go", func(b *testing.B) {
		path := filepath.Join(b.TempDir(), "checksum.wasm")
		cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", path, "../../compute/wasm/example/checksum")
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		module, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		benchmarkReactor(b, module)
	})
}

func benchmarkReactor(b *testing.B, module []byte) {
	c, err := cluster.Start(b.Context(), cluster.Settings{Peers: 1, Node: overlay.Config{Workers: 1}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	node := c.Nodes()[0]
	run := func(code overlay.Code) {
		id, err := node.Submit(b.Context(), overlay.JobSpec{Code: code, Inputs: [][]byte{[]byte("input")}})
		if err != nil {
			b.Fatal(err)
		}
		j, err := node.Wait(b.Context(), id)
		if err != nil || j.State != "done" {
			b.Fatal(j, err)
		}
	}
	run(overlay.Code{Module: module})
	hash := sha256.Sum256(module)
	code := overlay.Code{Hash: hex.EncodeToString(hash[:])}
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		run(code)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
