package limits_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/limits"
)

// How many commands of 1 ms 5,000 busy connections of 500 users complete. Half of the commands are
// FETCHes, the others UID SEARCHes that may be shared. To see which locks they wait for:
//
//	go test -run '^$' -bench BusyConnections -benchtime 1x -mutexprofile mutex.out ./limits
//	go tool pprof -top -cum mutex.out
func BenchmarkBusyConnections(b *testing.B) {
	const connections, users, window = 5000, 500, 2 * time.Second
	for b.Loop() {
		options := limits.DefaultOptions()
		options.MaxConnectionsPerIP, options.MaxLoginsPerIP, options.ShareSearches = 0, 0, true
		limiter := limits.New(options)
		work := func(string) error {
			time.Sleep(time.Millisecond)
			return nil
		}
		logins := newLogins(b, limiter.Wrap((&backend{fetch: work, search: work}).NewSession))
		var numSet imap.NumSet = imap.SeqSetNum(1)
		search := &imap.SearchOptions{ReturnAll: true}
		var answered atomic.Int64
		var over atomic.Bool
		var all sync.WaitGroup
		begin := make(chan struct{})
		for i := range connections {
			session := logins.session(fmt.Sprintf("user%d", i%users))
			if _, err := session.Select("INBOX", &imap.SelectOptions{}); err != nil {
				b.Fatal(err)
			}
			all.Go(func() {
				<-begin
				for n := i; !over.Load(); n++ {
					var err error
					if n%2 == 0 {
						err = session.Fetch(nil, numSet, &imap.FetchOptions{})
					} else {
						criteria := &imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagSeen}}
						_, err = session.Search(imapserver.NumKindUID, criteria, search)
					}
					if err != nil {
						b.Error(err)
						return
					}
					answered.Add(1)
				}
			})
		}
		close(begin)
		time.AfterFunc(window, func() { over.Store(true) })
		all.Wait()
		b.ReportMetric(float64(answered.Load())/window.Seconds(), "commands/s")
		logins.server.Close()
	}
	b.ReportMetric(0, "ns/op")
}
