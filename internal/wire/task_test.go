package wire

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/compute"
)

// everyTaskField is a message with all fields set, as no single kind has them.
func everyTaskField() compute.Message {
	job, parent := compute.ID{1}, compute.ID{2}
	task := compute.Task{
		ID: compute.TaskID(job, parent, 3), Job: job, Parent: parent, Index: 3,
		Code: compute.Code{Func: "a/v1"}, Input: []byte("in"),
		Limits: compute.Limits{Time: time.Second, Memory: 2, Output: 3, Grant: "books"},
		Owner:  "own", Attempt: 4, Hop: 5, Avoid: []chord.PeerID{"x"},
		Join: true, Parts: [][]byte{[]byte("one"), {}},
		Priority: -3, Apart: true, Near: []chord.PeerID{"n1", "n2"}, Share: 7,
	}
	module := compute.Task{
		ID: compute.TaskID(job, compute.ID{}, 0), Job: job,
		Code: compute.Code{Module: [32]byte{9}, Size: 10}, Owner: "own", Attempt: 1,
	}
	lanes := []compute.Lane{{Cap: "a/v1", Queued: 6, Starved: true}}
	return compute.Message{
		Kind: compute.KindGive, Session: 1, Seq: 2, Re: 3,
		Load:     compute.Load{Peer: "p", Seq: 4, Slots: 5, Running: 6, Lanes: lanes, Hops: 1},
		Loads:    []compute.Load{{Peer: "q", Seq: 7}},
		Funcs:    []string{"a/v1", "wasm"},
		Register: true, Busy: true, Pending: true, Unknown: true,
		Room: 8, RoomBytes: 9,
		Tasks: []compute.Task{task, module},
		Refs:  []compute.Ref{{Task: task.ID, Attempt: 4, Hop: 5, Running: true}},
		Results: []compute.Result{{
			Task: task.ID, Attempt: 4, Peer: "p", Output: []byte("out"), Err: "bad",
			Crashed: true, Elapsed: time.Millisecond, Log: []byte("log"),
			Fork: [][]byte{{7}}, Kept: true,
		}},
		Job: job,
	}
}

func TestTaskGolden(t *testing.T) {
	m := everyTaskField()
	got := AppendTask([]byte{0xee}, &m)
	if h := hex.EncodeToString(got); h != "ee"+taskGolden {
		t.Errorf("AppendTask wrote\n%s, want\nee%s", h, taskGolden)
	}
	back, err := ParseTask(got[1:])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, back); diff != "" {
		t.Errorf("round trip (-want +got):\n%s", diff)
	}
}

// One line each: kind, session, seq, re; load; loads; funcs; flags and room; a
// task; a task of a module; ref; result; job.
const taskGolden = "" +
	"0804100118022003" +
	"2a170a01701004180520062a0a0a04612f7631100618013001" +
	"32050a01711007" +
	"3a04612f76313a047761736d" +
	"400148015001580160086809" +
	"727e0a10e160ea3acf54d76093198c9faf6a33151210010000000000000000000000000000001a100200000000000000000000000000000020032a060a04612f76313202696e388094ebdc034002480352036f776e580460056a017870017a036f6e657a008001058801019201026e319201026e32a20105626f6f6b73a80107" +
	"72510a1011bc115c0226329c9a35a7fee1d29c1f1210010000000000000000000000000000002a2412200900000000000000000000000000000000000000000000000000000000000000180a52036f776e5801" +
	"7a180a10e160ea3acf54d76093198c9faf6a3315100418052001" +
	"8201310a10e160ea3acf54d76093198c9faf6a331510041a017022036f75742a03626164300138c0843d42036c6f674a01075001" +
	"8a011001000000000000000000000000000000"

func TestTaskRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*compute.Message){
		"kind 0":         func(m *compute.Message) { m.Kind = 0 },
		"unknown kind":   func(m *compute.Message) { m.Kind = compute.KindReturn + 1 },
		"wrong task ID":  func(m *compute.Message) { m.Tasks[0].ID[0]++ },
		"attempt 0":      func(m *compute.Message) { m.Tasks[0].Attempt = 0 },
		"no owner":       func(m *compute.Message) { m.Tasks[0].Owner = "" },
		"no code":        func(m *compute.Message) { m.Tasks[0].Code = compute.Code{} },
		"many near":      func(m *compute.Message) { m.Tasks[0].Near = make([]chord.PeerID, compute.MaxNear+1) },
		"priority":       func(m *compute.Message) { m.Tasks[0].Priority = compute.MaxPriority + 1 },
		"negative limit": func(m *compute.Message) { m.Tasks[0].Limits.Time = -1 },
		"unsorted funcs": func(m *compute.Message) { m.Funcs = []string{"b/v1", "a/v1"} },
		"many funcs":     func(m *compute.Message) { m.Funcs = make([]string, compute.MaxFuncs+1) },
		"many refs":      func(m *compute.Message) { m.Refs = make([]compute.Ref, compute.MaxMessageRefs+1) },
		"large input":    func(m *compute.Message) { m.Tasks[0].Input = make([]byte, compute.MaxBlob+1) },
		"negative time":  func(m *compute.Message) { m.Results[0].Elapsed = -1 },
	} {
		m := everyTaskField()
		spoil(&m)
		if _, err := ParseTask(AppendTask(nil, &m)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Many empty tasks are refused before they are read.
	var bomb []byte
	for range compute.MaxMessageTasks + 1 {
		bomb = protowire.AppendTag(bomb, 14, protowire.BytesType)
		bomb = protowire.AppendBytes(bomb, nil)
	}
	if _, err := ParseTask(bomb); !errors.Is(err, ErrMalformed) {
		t.Errorf("many empty tasks: %v", err)
	}
}

func FuzzParseTask(f *testing.F) {
	m := everyTaskField()
	f.Add(AppendTask(nil, &m))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseTask(b)
		if err != nil {
			return
		}
		again, err := ParseTask(AppendTask(nil, &m))
		if err != nil {
			t.Fatalf("parse what was parsed: %v", err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Fatalf("came back different (-first +second):\n%s", diff)
		}
	})
}

func BenchmarkTaskGive(b *testing.B) {
	m := compute.Message{Kind: compute.KindGive, Seq: 1}
	job := compute.ID{1}
	for i := range uint32(100) {
		m.Tasks = append(m.Tasks, compute.Task{
			ID: compute.TaskID(job, compute.ID{}, i), Job: job, Index: i, Code: compute.Code{Func: "echo/v1"},
			Input: make([]byte, 100), Owner: chord.PeerID(make([]byte, 38)), Attempt: 1,
		})
	}
	for b.Loop() {
		if _, err := ParseTask(AppendTask(nil, &m)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/task")
}
