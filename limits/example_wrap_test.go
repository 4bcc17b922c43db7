package limits_test

import (
	"context"
	"crypto/tls"
	"log"
	"log/slog"
	"os"
	"os/signal"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate/limits"
)

// memory stands for your own backend.
type memory struct{ *imapmemserver.Server }

func (m memory) NewSession(
	*imapserver.Conn,
) (imapserver.Session, *imapserver.GreetingData, error) {
	return m.Server.NewSession(), nil, nil
}

// The limiter goes outside everything else, and is closed before the server.
func ExampleLimiter_Wrap() {
	backend := memory{imapmemserver.New()}
	var tlsConfig *tls.Config
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	options := limits.DefaultOptions()
	options.MaxLoginsPerUser = 10
	options.OnEvent = func(e limits.Event) {
		slog.Info("limits", "event", e.Kind, "user", e.User, "addr", e.Addr, "limit", e.Limit)
	}
	limiter := limits.New(options)

	server := imapserver.New(&imapserver.Options{
		NewSession: limiter.Wrap(backend.NewSession),
		TLSConfig:  tlsConfig,
	})
	go func() {
		<-ctx.Done()
		limiter.Close() // wakes the commands that wait, which server.Close does not
		server.Close()
	}()
	if err := server.ListenAndServe(":143"); err != nil {
		log.Fatal(err)
	}
}
