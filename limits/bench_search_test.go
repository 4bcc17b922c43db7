package limits_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// How many times a UID SEARCH of 200 ms runs if one user sends it on 50 connections at once, and
// how long it takes until all have the answer. Three SEARCHes of a user may run at once. It is
// measured with and without sharing.
//
//	go test -run '^$' -bench FiftySearches -benchtime 1x ./limits
func BenchmarkFiftySearches(b *testing.B) {
	for _, share := range []bool{false, true} {
		b.Run(fmt.Sprintf("share=%t", share), func(b *testing.B) {
			var runs int64
			var took time.Duration
			for b.Loop() {
				mail := &backend{search: func(string) error {
					time.Sleep(200 * time.Millisecond)
					return nil
				}}
				limiter := limits.New(
					&limits.Options{
						MaxSearchesPerUser: 3, SearchQueueTimeout: 30 * time.Second, ShareSearches: share,
					},
				)
				server := imaptest.NewServer(
					b, &imapserver.Options{NewSession: limiter.Wrap(mail.NewSession), InsecureAuth: true},
				)
				clients := make([]*imaptest.Conn, 50)
				for i := range clients {
					clients[i] = server.Login("karen", "pass")
					clients[i].Cmd("s SELECT INBOX")
				}
				took += elapsed(func() {
					var all sync.WaitGroup
					for _, c := range clients {
						all.Go(func() {
							if answer := c.Cmd("x UID SEARCH SUBJECT slow"); !imaptest.IsOK(answer) {
								b.Error(answer)
							}
						})
					}
					all.Wait()
				})
				server.Close()
				runs += mail.searches.Load()
			}
			b.ReportMetric(float64(runs)/float64(b.N), "executions")
			b.ReportMetric(milliseconds(took)/float64(b.N), "ms-until-all-answered")
			b.ReportMetric(0, "ns/op")
		})
	}
}
