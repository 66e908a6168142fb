package wire

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/internal/wire/pb"
)

func TestDurableRoundTrip(t *testing.T) {
	spec := DurableSpec{
		Code: compute.Code{Func: "sha256/v1"}, Limits: compute.Limits{Time: time.Second, Memory: 1 << 20, Grant: "books"},
		Tasks: 7, Inputs: 2, Submitted: time.UnixMilli(1234567),
		Priority: -4, Verify: 3, Retries: 5, Keys: true, Deadline: time.UnixMilli(2345678), Submitter: "guest",
	}
	module := spec
	module.Code = compute.Code{Module: [32]byte{1, 2}, Size: 99}
	for _, s := range []DurableSpec{spec, module} {
		back, err := ParseDurableSpec(AppendDurableSpec(nil, &s))
		if diff := cmp.Diff(s, back); diff != "" || err != nil {
			t.Errorf("spec: %v\n%s", err, diff)
		}
	}
	inputs := [][]byte{[]byte("a"), {}, []byte("c")}
	if back, err := ParseDurableInputs(AppendDurableInputs(nil, inputs)); err != nil || cmp.Diff(inputs, back) != "" {
		t.Errorf("inputs %q, %v", back, err)
	}
	results := []DurableResult{{
		Index: 3, Peer: "p", Attempts: 2, Output: []byte("out"), Err: "e", Log: []byte("log"), Elapsed: time.Minute, Started: time.UnixMicro(1234567), Worker: 3, Votes: []compute.Vote{{Peer: "p", Answer: "abc", Agrees: true}, {Answer: "gone"}}, Backup: true, Overtook: true,
		History: []compute.Attempt{{Peer: "q", Outcome: compute.OutcomeCrashed, Err: "bang", Elapsed: time.Second, Started: time.UnixMicro(5), Worker: 1, Copy: 2}},
	}}
	if back, err := ParseDurableResults(AppendDurableResults(nil, results)); err != nil || cmp.Diff(results, back) != "" {
		t.Errorf("results %+v, %v", back, err)
	}
	query := DurableQuery{Jobs: []compute.ID{{1}, {2}}, Versions: []uint64{3, 4}}
	if back, err := ParseDurableQuery(AppendDurableQuery(nil, &query)); err != nil || cmp.Diff(query, back) != "" {
		t.Errorf("query %+v, %v", back, err)
	}
	owned := []bool{true, false, true}
	if back, err := ParseDurableAnswer(AppendDurableAnswer(nil, owned)); err != nil || cmp.Diff(owned, back) != "" {
		t.Errorf("answer %v, %v", back, err)
	}
}

func TestDurableBounds(t *testing.T) {
	code := &pb.TaskCode{Func: "f/v1"}
	for _, m := range []*pb.DurableSpec{
		{},
		{Code: code},
		{Code: code, Tasks: compute.MaxDurable + 1, Inputs: 1},
		{Code: code, Tasks: 1, Inputs: 2},
		{Code: code, Tasks: 1, Inputs: 1, Memory: -1},
		{Code: code, Tasks: 1, Inputs: 1, Priority: compute.MaxPriority + 1},
		{Code: code, Tasks: 1, Inputs: 1, Verify: compute.MaxVerify + 1},
		{Code: code, Tasks: 1, Inputs: 1, Retries: compute.MaxRetries + 1},
		{Code: &pb.TaskCode{Module: []byte{1}}, Tasks: 1, Inputs: 1},
	} {
		if s, err := ParseDurableSpec(appendMessage(nil, m)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v reads as %+v, %v", m, s, err)
		}
	}
	for _, m := range []*pb.DurableQuery{
		{Versions: []uint64{1}},
		{Jobs: [][]byte{{1}}, Versions: []uint64{1}},
		{Jobs: make([][]byte, MaxQueried+1), Versions: make([]uint64, MaxQueried+1)},
	} {
		if q, err := ParseDurableQuery(appendMessage(nil, m)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v reads as %+v, %v", m, q, err)
		}
	}
	if _, err := ParseDurableAnswer(appendMessage(nil, &pb.DurableAnswer{Owned: make([]bool, MaxQueried+1)})); !errors.Is(err, ErrMalformed) {
		t.Errorf("an answer too long: %v", err)
	}
}

// Nothing that others send makes a parser of durable jobs fail in another way.
func FuzzDurable(f *testing.F) {
	f.Add(AppendDurableQuery(nil, &DurableQuery{Jobs: []compute.ID{{1}}, Versions: []uint64{3}}))
	f.Add(AppendDurableSpec(nil, &DurableSpec{Code: compute.Code{Func: "f/v1"}, Tasks: 1, Inputs: 1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, spec := ParseDurableSpec(b)
		_, inputs := ParseDurableInputs(b)
		_, results := ParseDurableResults(b)
		_, query := ParseDurableQuery(b)
		_, answer := ParseDurableAnswer(b)
		for _, err := range []error{spec, inputs, results, query, answer} {
			if err != nil && !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
		}
	})
}
