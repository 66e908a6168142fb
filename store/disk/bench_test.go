//go:build unix

package disk

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
	badgerds "github.com/ipfs/go-ds-badger"
	badger4ds "github.com/ipfs/go-ds-badger4"
	"golang.org/x/sys/unix"

	"github.com/chorus-net/chorus/store"
)

// benchRecords encodes records of 100 bytes of value under distinct keys, one
// after the other.
type benchRecords struct{ n atomic.Uint64 }

func (g *benchRecords) next(b []byte) (store.ShardID, []byte) {
	n := g.n.Add(1)
	return benchRecord(b, n)
}

func benchKey(n uint64) string { return fmt.Sprintf("%016x", n*0x9e3779b97f4a7c15) }

func benchRecord(b []byte, n uint64) (store.ShardID, []byte) {
	var value [100]byte
	binary.BigEndian.PutUint64(value[:], n)
	r := store.Record{Namespace: "bench", Key: benchKey(n), Version: store.Version{Clock: 1 + n}, Value: value[:]}
	r.Position = store.Route(r.Namespace, r.Key)
	return store.Shard(r.Position, testShards), r.AppendTo(b[:0])
}

func benchEngines(b *testing.B, bench func(b *testing.B, s *Store)) {
	for _, e := range []Engine{Badger4, Badger, Memory} {
		b.Run("engine="+string(e), func(b *testing.B) {
			h := &home{t: b, dir: b.TempDir(), o: Options{Engine: e, Shards: testShards}}
			s := h.open()
			bench(b, s)
		})
	}
}

// callers runs b.N operations on n goroutines and reports how many a second.
func callers(b *testing.B, n int, operation func()) {
	left := make(chan struct{}, n)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for range left {
				operation()
			}
		})
	}
	b.ReportAllocs()
	start, busy, done := time.Now(), cpuTime(b), 0
	for b.Loop() {
		left <- struct{}{}
		done++
	}
	close(left)
	wg.Wait()
	b.ReportMetric(float64(done)/time.Since(start).Seconds(), "records/s")
	b.ReportMetric(float64((cpuTime(b)-busy).Nanoseconds())/1000/float64(done), "cpu-us/op")
}

// cpuTime is what the process has used: on a busy machine it tells more than the
// clock.
func cpuTime(b *testing.B) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func BenchmarkApply(b *testing.B) {
	benchEngines(b, func(b *testing.B, s *Store) {
		for _, n := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("callers=%d", n), func(b *testing.B) {
				var g benchRecords
				g.n.Store(uint64(time.Now().UnixNano()))
				callers(b, n, func() {
					shard, r := g.next(make([]byte, 0, 256))
					if _, err := s.Apply(b.Context(), shard, r); err != nil {
						b.Error(err)
					}
				})
			})
		}
	})
}

// BenchmarkPutSync is what Apply is to be compared with: the datastore's own
// synced Put for each call.
func BenchmarkPutSync(b *testing.B) {
	bench := func(b *testing.B, d ds.Datastore, err error) {
		if err != nil {
			b.Fatal(err)
		}
		defer d.Close()
		for _, n := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("callers=%d", n), func(b *testing.B) {
				var g benchRecords
				g.n.Store(uint64(time.Now().UnixNano()))
				callers(b, n, func() {
					shard, r := g.next(make([]byte, 0, 256))
					v, _ := store.OpenRecord(r)
					if err := d.Put(b.Context(), ds.RawKey(viewKey(shard, v)), r); err != nil {
						b.Error(err)
					}
				})
			})
		}
	}
	b.Run("engine=badger4", func(b *testing.B) {
		o := badger4ds.DefaultOptions
		o.SyncWrites = true
		d, err := badger4ds.NewDatastore(b.TempDir(), &o)
		bench(b, d, err)
	})
	b.Run("engine=badger", func(b *testing.B) {
		o := badgerds.DefaultOptions
		o.SyncWrites = true
		d, err := badgerds.NewDatastore(b.TempDir(), &o)
		bench(b, d, err)
	})
}

func benchFill(b *testing.B, s *Store, n uint64) {
	for i := range n {
		shard, r := benchRecord(nil, i)
		for {
			if _, err := s.Queue(shard, r); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	if err := s.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkGet(b *testing.B) {
	benchEngines(b, func(b *testing.B, s *Store) {
		const records = 100_000
		benchFill(b, s, records)
		get := func(b *testing.B) {
			b.ReportAllocs()
			for n := uint64(0); b.Loop(); n++ {
				key := benchKey(n * 7919 % records)
				_, found, err := s.Get(store.Shard(store.Route("bench", key), testShards), "bench", key)
				if !found || err != nil {
					b.Fatal(key, found, err)
				}
			}
		}
		b.Run("quiet", get)
		b.Run("writing", func(b *testing.B) {
			stop := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for n := uint64(0); ; n++ {
					select {
					case <-stop:
						return
					default:
						shard, r := benchRecord(nil, records+n)
						s.Apply(b.Context(), shard, r)
					}
				}
			})
			get(b)
			close(stop)
			wg.Wait()
		})
	})
}

func BenchmarkScan(b *testing.B) {
	benchEngines(b, func(b *testing.B, s *Store) {
		benchFill(b, s, 100_000)
		var entries int
		var q Query
		b.ReportAllocs()
		for b.Loop() {
			p, err := s.Scan(3, q)
			if err != nil {
				b.Fatal(err)
			}
			entries += len(p.Entries)
			if q.After = p.Last; !p.More {
				q.After = ""
			}
		}
		b.ReportMetric(float64(entries)/float64(b.N), "entries/op")
		b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(entries), "ns/entry")
	})
}

// BenchmarkOpen opens and closes a store of 1,000 records, so that it reads a
// table and writes one.
func BenchmarkOpen(b *testing.B) {
	for _, e := range []Engine{Badger4, Badger, Memory} {
		b.Run("engine="+string(e), func(b *testing.B) {
			h := &home{t: b, dir: b.TempDir(), o: Options{Engine: e, Shards: testShards, Memory: NewMemoryDisk()}}
			s := h.open()
			benchFill(b, s, 1000)
			s.Close()
			var opening, closing time.Duration
			for b.Loop() {
				start := time.Now()
				s, err := Open(b.Context(), h.dir, h.o)
				if err != nil {
					b.Fatal(err)
				}
				opening += time.Since(start)
				shard, r := benchRecord(nil, 1)
				s.Apply(b.Context(), shard, r)
				start = time.Now()
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				closing += time.Since(start)
			}
			b.ReportMetric(float64(opening.Microseconds())/1000/float64(b.N), "open-ms/op")
			b.ReportMetric(float64(closing.Microseconds())/1000/float64(b.N), "close-ms/op")
		})
	}
}
