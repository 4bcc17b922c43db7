package redislimits_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// counts asserts that two nodes with these options count together, and see and end each other's
// sessions.
func counts(t *testing.T, client rueidis.ClientOption) {
	t.Helper()
	o := options("")
	o.Client, o.Node = client, "one"
	one := newNode(t, o)
	o.Node = "two"
	two := newNode(t, o)
	ended := make(chan string, 1)
	l := login("karen", 2)
	l.Disconnect = func(text string) { ended <- text }
	eventuallyAdmit(t, one, l)
	eventuallyAdmit(t, two, login("karen", 2))
	refuse(t, two, login("karen", 2), limits.ErrTooManyUserLogins)
	sessions, err := two.Sessions(t.Context())
	require.NoError(t, err)
	require.Len(t, sessions, 2)
	eventually(t, "it is ended", func() bool {
		found, err := two.Disconnect(t.Context(), "one", sessions[0].ID, "Bye")
		return err == nil && found
	})
	assert.Equal(t, "Bye", <-ended)
}

func TestTLSAndAPassword(t *testing.T) {
	dir := t.TempDir()
	config := imaptest.ServerTLS()
	key, err := x509.MarshalPKCS8PrivateKey(config.Certificates[0].PrivateKey)
	require.NoError(t, err)
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		require.NoError(t, os.WriteFile(path, text, 0o600))
		return path
	}
	cert := write("cert.pem", "CERTIFICATE", config.Certificates[0].Certificate[0])
	port := freePort(t)
	startRedis(
		t, "--tls-port", fmt.Sprint(port), "--tls-cert-file", cert, "--tls-ca-cert-file", cert,
		"--tls-key-file", write("key.pem", "PRIVATE KEY", key), "--tls-auth-clients", "no",
		"--requirepass", "secret",
	)
	counts(t, rueidis.ClientOption{
		InitAddress: []string{fmt.Sprintf("127.0.0.1:%d", port)}, Password: "secret",
		TLSConfig: imaptest.ClientTLS(),
	})
}

func TestRESP2(t *testing.T) {
	r := startRedis(t)
	counts(t, rueidis.ClientOption{InitAddress: []string{r.address()}, AlwaysRESP2: true})
}

func TestRedisCluster(t *testing.T) {
	r := startRedis(t, "--cluster-enabled", "yes")
	slots := r.client().B().Arbitrary("CLUSTER", "ADDSLOTSRANGE", "0", "16383").Build()
	require.NoError(t, r.client().Do(t.Context(), slots).Error())
	counts(t, rueidis.ClientOption{InitAddress: []string{r.address()}})
}

func TestSentinel(t *testing.T) {
	r := startRedis(t)
	port := freePort(t)
	config := filepath.Join(t.TempDir(), "sentinel.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil,
		"port %d\nbind 127.0.0.1\nsentinel monitor mail 127.0.0.1 %d 1\n", port, r.port), 0o600))
	cmd := exec.Command("redis-server", config, "--sentinel")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	counts(t, rueidis.ClientOption{
		InitAddress: []string{fmt.Sprintf("127.0.0.1:%d", port)},
		Sentinel:    rueidis.SentinelOption{MasterSet: "mail"},
	})
}

func TestAUnixSocket(t *testing.T) {
	r := startRedis(t)
	counts(t, rueidis.MustParseURL("unix://"+r.socket))
}
