package worker

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/chorus-net/chorus/compute/uts"
)

// AddBuiltins registers the functions that every peer has. All are version 1.
//
//	echo       the input
//	sha256     the SHA-256 of the input as 64 hex digits
//	wordcount  how often each word of a text occurs: lines "WORD COUNT", the
//	           most frequent first, those alike in alphabetical order. A word is a
//	           run of letters and digits, in lower case
//	primes     how many primes there are up to the input, a decimal number of at most 10^12
//	uts        how many nodes a tree of the Unbalanced Tree Search has, see uts.Parse: "T1", or
//	           "t=1 a=3 d=10 b=4 r=19". Its tasks divide themselves
//	sleep      waits as long as the input says ("1.5s", at most an hour) and returns it
//
// It fails if one of these names is taken.
func (r *Registry) AddBuiltins() error {
	for name, fn := range map[string]Func{
		"echo": echo, "sha256": sha256Hex, "wordcount": wordCount, "primes": primes, "sleep": sleep,
	} {
		if err := r.Register(name, fn); err != nil {
			return err
		}
	}
	return r.RegisterDivided("uts", Divided{Work: uts.Work, Join: uts.Join})
}

func echo(_ context.Context, input []byte) ([]byte, error) { return input, nil }

func sha256Hex(_ context.Context, input []byte) ([]byte, error) {
	sum := sha256.Sum256(input)
	return hex.AppendEncode(nil, sum[:]), nil
}

func wordCount(ctx context.Context, input []byte) ([]byte, error) {
	if !utf8.Valid(input) {
		return nil, fmt.Errorf("the text is not UTF-8")
	}
	counts := make(map[string]int)
	words := bytes.FieldsFuncSeq(input, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for w := range words {
		counts[strings.ToLower(string(w))]++
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	list := make([]string, 0, len(counts))
	for w := range counts {
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	var out []byte
	for _, w := range list {
		out = append(out, w...)
		out = append(out, ' ')
		out = strconv.AppendInt(out, int64(counts[w]), 10)
		out = append(out, '\n')
	}
	return out, nil
}

func sleep(ctx context.Context, input []byte) ([]byte, error) {
	d, err := time.ParseDuration(strings.TrimSpace(string(input)))
	if err != nil || d < 0 || d > time.Hour {
		return nil, fmt.Errorf("input %.20q: want a duration from 0s to 1h, such as 1.5s", input)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return input, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
