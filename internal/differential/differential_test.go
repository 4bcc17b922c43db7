package differential_test

import (
	"cmp"
	"fmt"
	"log"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/stack"
)

// FuzzConversation holds the same conversation with a stack around an imapmemserver and with a
// server that has no stack, which says the same, byte for byte, but for what the stack promises to
// change: that server keeps the promise by itself.
//
// Goroutines take another path each time, which the fuzzer holds for news, and tries to reproduce
// with less for a minute, unless it is told to go on: go test -run '^$' -fuzz FuzzConversation
// -fuzztime 10m -fuzzminimizetime 5x ./internal/differential
func FuzzConversation(f *testing.F) {
	names := stack.Names()
	for name := range promises {
		require.Contains(f, names, name)
	}
	for i := range names {
		for _, scene := range scenes {
			f.Add(byte(i), []byte(scene))
		}
	}
	f.Fuzz(func(t *testing.T, choice byte, script []byte) {
		t.Parallel()
		if len(script) > 1<<11 {
			return
		}
		name := names[int(choice)%len(names)]
		p := promises[name]
		ops := conversation(script, p.copies != untouched, p.hideIdle)
		for i := range ops { // before login a guard says less than go-imap of a command that is none
			ops[i].early = ops[i].early && !p.guarded
		}
		want := held(t, ops, p, "")
		got := held(t, ops, p, name)
		require.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"), "%s", name)
	})
}

// held holds the conversation with the stack, or with the reference that has no name.
func held(t *testing.T, ops []op, p promise, name string) (record []string) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		reference := name == ""
		name := cmp.Or(name, "bare")
		newSession := imaptest.Memory(w.users...)
		if reference {
			newSession = w.reference(p)
		}
		var logged strings.Builder
		server := stack.NewServer(name, &imapserver.Options{
			NewSession: newSession, InsecureAuth: true, Caps: imaptest.MemoryCaps(), Logger: log.New(&logged, "", 0),
		})
		talk := &talk{hideIdle: p.hideIdle, reference: reference}
		end := serve(server, talk)
		record = talk.hold(ops)
		end()
		synctest.Wait()
		record = append(record, fmt.Sprintf("%d panics", strings.Count(logged.String(), "panic ")))
	})
	return record
}

// serve makes the talk one with a server, which ends when the returned function has.
func serve(server stack.Server, talk *talk) (end func()) {
	listener := imaptest.Listen()
	talk.dial = listener.Dial
	go server.Serve(listener)
	return func() {
		listener.Close()
		synctest.Wait()
		server.Close()
	}
}
