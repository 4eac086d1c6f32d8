//! A node behind a broker: requests and their answers over MQTT 5 (section 4.10), and what the node tells by itself.

use std::time::{Duration, Instant};

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, Packet, Publish, PublishProperties};
use rumqttc::v5::{Client, Connection, ConnectionError, Event, MqttOptions};

/// How long the broker may take to answer.
const BROKER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a retained message takes to arrive, if there is one.
const RETAINED_PATIENCE: Duration = Duration::from_secs(1);
/// How long a node may take to answer: a measurement with the longest integration, twice, and the way there and back.
const NODE_PATIENCE: Duration = Duration::from_secs(10);
/// Packets that wait for the broker.
const QUEUE: usize = 10;
/// The largest packet: no message of a node is larger.
const PACKET_SIZE: u32 = 16_384;

/// Where a node is.
#[derive(Clone)]
pub struct Address {
    /// The broker's host name or address.
    pub host: String,
    /// The broker's port.
    pub port: u16,
    /// Prefix of the node's topics.
    pub prefix: String,
    /// The node's name.
    pub device: String,
    /// User name and password at the broker.
    pub credentials: Option<(String, String)>,
}

/// A session with the broker of a node.
pub struct Remote {
    client: Client,
    connection: Connection,
    address: Address,
    name: String,
}

/// A message of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    correlation: Option<Vec<u8>>,
}

impl Remote {
    /// Connects to the broker.
    ///
    /// # Errors
    /// Why the broker could not be reached or does not take the session, for people.
    pub fn connect(address: Address) -> Result<Self, String> {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let name = format!("dunlin-{}-{}", std::process::id(), since.subsec_nanos());
        let mut options = MqttOptions::new(&name, &address.host, address.port);
        options.set_keep_alive(Duration::from_secs(30)).set_max_packet_size(Some(PACKET_SIZE));
        if let Some((username, password)) = &address.credentials {
            options.set_credentials(username, password);
        }
        let (client, connection) = Client::new(options, QUEUE);
        let mut remote = Remote { client, connection, address, name };
        remote.wait(BROKER_PATIENCE, |packet| matches!(packet, Packet::ConnAck(_)).then_some(()))?;
        Ok(remote)
    }

    fn topic(&self, rest: &str) -> String {
        format!("{}/{}/{rest}", self.address.prefix, self.address.device)
    }

    /// Waits for the packet that `take` takes.
    fn wait<T>(&mut self, patience: Duration, take: impl FnMut(&Packet) -> Option<T>) -> Result<T, String> {
        let silent = format!("the broker {}:{} does not answer", self.address.host, self.address.port);
        self.next(patience, take)?.ok_or(silent)
    }

    /// Waits for the packet that `take` takes; none where the time is over.
    fn next<T>(
        &mut self,
        patience: Duration,
        mut take: impl FnMut(&Packet) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.connection.recv_timeout(left) {
                Err(_) => return Ok(None),
                Ok(Err(ConnectionError::ConnectionRefused(
                    ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
                ))) => {
                    let (host, port) = (&self.address.host, self.address.port);
                    return Err(format!(
                        "the broker {host}:{port} refuses user name or password: name the user with `--username`, and set \
                         DUNLIN_BROKER_PASSWORD"
                    ));
                }
                Ok(Err(error)) => {
                    let (host, port) = (&self.address.host, self.address.port);
                    return Err(format!(
                        "the broker {host}:{port}: {error}; is it there, and does it speak MQTT 5?"
                    ));
                }
                Ok(Ok(Event::Incoming(packet))) => {
                    if let Some(taken) = take(&packet) {
                        return Ok(Some(taken));
                    }
                }
                Ok(Ok(Event::Outgoing(Outgoing::Disconnect))) => return Ok(None),
                Ok(Ok(Event::Outgoing(_))) => {}
            }
        }
    }

    fn subscribe(&mut self, filter: &str) -> Result<(), String> {
        self.client.subscribe(filter, QoS::AtLeastOnce).map_err(|error| error.to_string())?;
        self.wait(BROKER_PATIENCE, |packet| matches!(packet, Packet::SubAck(_)).then_some(()))
    }

    /// Sends a request to the node and returns its answer.
    ///
    /// # Errors
    /// The node is not there, or does not answer, for people.
    pub fn ask(&mut self, request: &str, payload: &str) -> Result<String, String> {
        self.be_there()?;
        let answers = self.topic(&format!("reply/{}", self.name));
        self.subscribe(&answers)?;
        let properties = PublishProperties {
            response_topic: Some(answers.clone()),
            correlation_data: Some(self.name.clone().into()),
            ..PublishProperties::default()
        };
        let topic = self.topic(&format!("request/{request}"));
        self.client
            .publish_with_properties(topic, QoS::AtLeastOnce, false, payload.to_owned(), properties)
            .map_err(|error| error.to_string())?;
        let name = self.name.clone().into_bytes();
        let answer = self.next(NODE_PATIENCE, |packet| {
            let message = message(packet)?;
            (message.topic == answers && message.correlation.as_ref() == Some(&name))
                .then_some(message.payload)
        })?;
        let answer = answer.ok_or_else(|| {
            format!(
                "`{}` is online and does not answer; does the broker let it publish?",
                self.address.device
            )
        })?;
        String::from_utf8(answer).map_err(|_| "the answer is not text".to_owned())
    }

    /// Looks at the node's status, so that nobody waits for one that is not there.
    fn be_there(&mut self) -> Result<(), String> {
        let status = self.topic("status");
        self.client.subscribe(&status, QoS::AtLeastOnce).map_err(|error| error.to_string())?;
        let found = self.next(RETAINED_PATIENCE, |packet| {
            message(packet).filter(|message| message.topic == status).map(|message| message.payload)
        })?;
        let device = &self.address.device;
        match found.as_deref() {
            Some(b"online") => Ok(()),
            Some(_) => Err(format!("`{device}` is offline, its broker says")),
            None => Err(format!(
                "no node has told its status on `{status}`: is `{device}` its name, and is this its broker?"
            )),
        }
    }

    /// Listens to everything that the node tells under its own topics; returns their filter.
    ///
    /// # Errors
    /// The broker does not let us, for people.
    pub fn listen(&mut self) -> Result<String, String> {
        let filter = self.topic("#");
        self.subscribe(&filter)?;
        Ok(filter)
    }

    /// Waits for the next message; none where the time is over.
    ///
    /// # Errors
    /// The broker is gone, for people.
    pub fn next_message(&mut self, patience: Duration) -> Result<Option<Message>, String> {
        self.next(patience, message)
    }
}

fn message(packet: &Packet) -> Option<Message> {
    let Packet::Publish(Publish { topic, payload, properties, .. }) = packet else { return None };
    let correlation = properties.as_ref().and_then(|properties| properties.correlation_data.as_ref());
    Some(Message {
        topic: String::from_utf8_lossy(topic).into_owned(),
        payload: payload.to_vec(),
        correlation: correlation.map(|bytes| bytes.to_vec()),
    })
}
